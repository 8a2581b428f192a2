// result.json: a Record as text and back.
#pragma once

#include <string>
#include <vector>

#include <gradus/algorithms/experiments/program/record.h>

namespace gradus::experiments {

/// The object of result.json, indented, with a newline at the end. NaN and infinities are written as null.
std::string to_json(const Record& record);
/// The inverse (plots excepted). Throws IoError naming `path` for text that is not a result.
Record from_json(const std::string& text, const std::string& path);

/// "1", or "1, 2, 3" for a summary.
std::string seeds_of(const std::string& text);

/// One run: its object. Several: {"results": [...], "summary": [...]}, the summary being the medians over the seeds of each experiment
/// that ran with more than one ("seeds": [...] in place of "seed").
std::string to_json(const std::vector<Record>& runs, const std::vector<Record>& summaries, const std::vector<std::uint64_t>& seeds);
/// The result.json of a summary.
std::string summary_to_json(const Record& summary, const std::vector<std::uint64_t>& seeds);

}  // namespace gradus::experiments
