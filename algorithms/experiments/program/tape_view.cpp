#include <gradus/algorithms/experiments/program/tape_view.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/json.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/error.h>

namespace gradus::experiments {
namespace {

// A line of the table is columns of words: result, op, inputs ("%1, w0"), type ("f32[2, 3]"), saved bytes, and of a traced tape norm,
// microseconds and path.
TapeRow row_of(const std::string& line) {
  std::istringstream words(line);
  TapeRow row;
  std::string word;
  words >> row.result >> row.op;
  row.watched = row.op == "(watched)";
  while (!row.watched && words >> word) {
    const bool more = word.back() == ',';
    row.inputs.push_back(more ? word.substr(0, word.size() - 1) : word);
    if (!more) break;
  }
  while (words >> word) {
    row.type += (row.type.empty() ? "" : " ") + word;
    if (word.back() == ']') break;
  }
  words >> row.saved_bytes >> row.norm >> row.microseconds >> row.path;
  return row;
}

}  // namespace

std::vector<TapeRow> rows_of(const Tape& tape) {
  std::istringstream lines(tape.table());
  std::vector<TapeRow> rows;
  std::string line;
  std::getline(lines, line);  // the head
  while (std::getline(lines, line))
    if (!line.empty() && (line[0] == '%' || line[0] == 'w')) rows.push_back(row_of(line));
  return rows;
}

std::string tape_json(const Tape& tape) {
  Json entries = Json::array();
  for (const TapeRow& row : rows_of(tape)) {
    if (row.watched) {
      entries.push_back({{"result", row.result}, {"op", "watched"}, {"type", row.type}});
      continue;
    }
    entries.push_back({{"result", row.result},
                       {"op", row.op},
                       {"inputs", row.inputs},
                       {"type", row.type},
                       {"saved_bytes", row.saved_bytes},
                       {"norm", as_json(row.norm)},
                       {"microseconds", as_json(row.microseconds)},
                       {"path", row.path}});
  }
  return Json{{"entries", entries}}.dump(1) + "\n";
}

}  // namespace gradus::experiments
