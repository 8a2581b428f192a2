#include <gradus/kernels/emulator/runtime/ptx_source.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <tuple>

#include <gradus/kernels/emulator/check/finding.h>

namespace gradus::emulator::runtime {
namespace {

using Place = std::tuple<int, int, int>;  // file, line, column

struct Table {
  std::map<int, std::string> files;
  std::map<Place, Place> callers;  // of places in inlined functions
  Place last{};                    // before the line in question
};

void read_file_directive(std::istringstream& words, Table& table) {
  int number = 0;
  std::string name;
  words >> number;
  std::getline(words, name);
  const auto first = name.find('"'), last = name.rfind('"');
  if (first < last) table.files[number] = name.substr(first + 1, last - first - 1);
}

void read_location(const std::string& line, std::istringstream& words, Table& table) {
  Place place{}, caller{};
  words >> std::get<0>(place) >> std::get<1>(place) >> std::get<2>(place);
  table.last = place;
  const auto at = line.find("inlined_at");
  if (at == std::string::npos) return;
  std::istringstream rest(line.substr(at + 10));
  rest >> std::get<0>(caller) >> std::get<1>(caller) >> std::get<2>(caller);
  table.callers[place] = caller;
}

/// .file stands at the end of the text, so all of it is read; .loc only up to the line.
Table read_table(std::string_view text, std::uint32_t line) {
  Table table;
  std::istringstream in{std::string(text)};
  std::string row;
  for (std::uint32_t number = 1; std::getline(in, row); ++number) {
    std::istringstream words(row);
    std::string directive;
    words >> directive;
    if (directive == ".file") read_file_directive(words, table);
    else if (directive == ".loc" && number <= line) read_location(row, words, table);
  }
  return table;
}

}  // namespace

std::string source_of_ptx_line(std::string_view text, std::uint32_t line) {
  const Table table = read_table(text, line);
  Place place = table.last;
  for (int depth = 0; depth < 64; ++depth) {  // a broken table must not loop
    const auto file = table.files.find(std::get<0>(place));
    if (file == table.files.end()) return "";
    const auto caller = table.callers.find(place);
    if (caller == table.callers.end() || !is_toolkit_file(file->second)) return file->second + ":" + std::to_string(std::get<1>(place));
    place = caller->second;
  }
  return "";
}

std::string with_source(std::string_view text, const std::string& message) {
  constexpr std::string_view kStart = "ptx line ";
  std::string where;
  if (message.rfind(kStart, 0) == 0)
    where = source_of_ptx_line(text, static_cast<std::uint32_t>(std::strtoul(message.c_str() + kStart.size(), nullptr, 10)));
  return (where.empty() ? std::string("gradus emulator") : where) + ": error: " + message;
}

}  // namespace gradus::emulator::runtime
