// From the packages' formats to IDX.
#include <gradus/algorithms/experiments/data/convert.h>

#include <charconv>
#include <string_view>

#include <gradus/algorithms/experiments/data/fetched.h>
#include <gradus/algorithms/experiments/data/process.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/nn/data/idx.h>

namespace gradus::experiments {
namespace {

[[noreturn]] void reject(const std::string& name, std::size_t line, const std::string& what) {
  raise_io("[data] " + name + " line " + std::to_string(line) + ": " + what);
}

// Lines of a text, counted from 1. CRLF and a missing last newline are as good as a newline.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  bool next(std::string_view& line) {
    if (rest_.empty()) return false;
    const std::size_t end = rest_.find('\n');
    line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    ++number_;
    return true;
  }
  std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

// Appends the numbers of a line to `values`; there must be `expected` of them.
template <class Number>
void read_numbers(std::string_view line, std::size_t expected, std::vector<Number>& values, const std::string& name, std::size_t number) {
  const char *at = line.data(), *end = at + line.size();
  std::size_t count = 0;
  for (;;) {
    while (at != end && (*at == ' ' || *at == '\t')) ++at;
    if (at == end) break;
    Number value{};
    const auto result = std::from_chars(at, end, value);
    const bool separated = result.ptr == end || *result.ptr == ' ' || *result.ptr == '\t';
    if (result.ec != std::errc() || !separated) reject(name, number, "'" + std::string(at, std::min(end, at + 20)) + "' is not a number");
    values.push_back(value);
    at = result.ptr;
    ++count;
  }
  if (count != expected) reject(name, number, "there are " + std::to_string(count) + " numbers; expected " + std::to_string(expected));
}

}  // namespace

FannTable parse_fann(const std::string& text, const std::string& name) {
  Lines lines(text);
  std::string_view line;
  if (!lines.next(line)) reject(name, 1, "there is no header");
  std::vector<std::int64_t> header;
  read_numbers(line, 3, header, name, 1);
  const std::int64_t rows = header[0], inputs = header[1], targets = header[2];
  // A number takes at least a digit and a separator: a header that promises more than the file can hold is wrong.
  const auto most = static_cast<std::int64_t>(text.size() / 2 + 1);
  if (rows < 1 || inputs < 1 || targets < 1 || rows > most || inputs > most || targets > most || rows > most / inputs)
    reject(name, 1,
           "the header promises " + std::to_string(rows) + " rows of " + std::to_string(inputs) + " + " + std::to_string(targets) +
               " numbers, the file has " + std::to_string(text.size()) + " bytes");
  std::vector<float> x, y;
  for (std::int64_t row = 0; row < rows; ++row)
    for (const bool is_input : {true, false}) {
      do {
        if (!lines.next(line))
          reject(name, lines.number() + 1, "the file ends in row " + std::to_string(row + 1) + " of " + std::to_string(rows));
      } while (line.find_first_not_of(" \t") == std::string_view::npos);
      read_numbers(line, static_cast<std::size_t>(is_input ? inputs : targets), is_input ? x : y, name, lines.number());
    }
  while (lines.next(line))
    if (line.find_first_not_of(" \t") != std::string_view::npos)
      reject(name, lines.number(), "there are more than the " + std::to_string(rows) + " rows of the header");
  return {Tensor::from(x, {rows, inputs}), Tensor::from(y, {rows, targets})};
}

std::string parse_glosses(const std::string& text, const std::string& name) {
  Lines lines(text);
  std::string_view line;
  std::string out;
  while (lines.next(line)) {
    if (line.rfind("  ", 0) == 0) continue;  // the licence
    const std::size_t bar = line.find(" | ");
    if (bar == std::string_view::npos) reject(name, lines.number(), "there is no ' | ' before a gloss");
    std::string_view gloss = line.substr(bar + 3);
    while (!gloss.empty() && gloss.back() == ' ') gloss.remove_suffix(1);
    out.append(gloss).append("\n");
  }
  return out;
}

std::vector<std::string> convert_fashion_mnist(const std::string& unpacked, const std::string& folder) {
  const std::pair<const char*, const char*> files[] = {{"train-images-idx3-ubyte", "train-inputs.idx"},
                                                       {"train-labels-idx1-ubyte", "train-targets.idx"},
                                                       {"t10k-images-idx3-ubyte", "test-inputs.idx"},
                                                       {"t10k-labels-idx1-ubyte", "test-targets.idx"}};
  std::vector<std::string> names;
  for (const auto& [source, name] : files) {
    const std::string path = unpacked + "/usr/share/datasets/fashion-mnist/" + source;
    run_tool({"gzip", "-d", "-f", path + ".gz"});
    write_file(folder + "/" + name, read_file(path));
    names.emplace_back(name);
  }
  return names;
}

std::vector<std::string> convert_wordnet(const std::string& unpacked, const std::string& folder) {
  std::string text;
  for (const char* part : {"noun", "verb", "adj", "adv"}) {
    const std::string path = unpacked + "/usr/share/wordnet/data." + part;
    text += parse_glosses(read_file(path), path);
  }
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  write_file(folder + "/glosses.idx", to_idx(Tensor::from(bytes, {static_cast<std::int64_t>(bytes.size())})));
  return {"glosses.idx"};
}

std::vector<std::string> convert_fann(const std::string& unpacked, const std::string& folder) {
  std::vector<std::string> names;
  for (const char* table : {"abelone", "bank32fm", "bank32nh", "building", "census-house", "gene", "kin32fm", "mushroom", "pumadyn-32fm",
                            "robot", "soybean", "thyroid"})
    for (const char* half : {"train", "test"}) {
      const std::string path = unpacked + "/usr/share/doc/libfann-dev/examples/datasets/" + table + "." + half;
      const FannTable data = parse_fann(read_file(path), path);
      const std::string name = std::string(table) + "-" + half;
      write_file(folder + "/" + name + "-inputs.idx", to_idx(data.inputs));
      write_file(folder + "/" + name + "-targets.idx", to_idx(data.targets));
      names.push_back(name + "-inputs.idx");
      names.push_back(name + "-targets.idx");
    }
  return names;
}

}  // namespace gradus::experiments
