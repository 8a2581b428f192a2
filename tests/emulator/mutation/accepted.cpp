#include "accepted.h"

#include <fstream>
#include <stdexcept>

namespace mutation {

bool Accepted::fits(const Place& place, Kind of, const std::string& in_kernel) const {
  return kind == name_of(of) && place.file.ends_with("/" + file) && place.text == line &&
         (kernel == "*" || in_kernel.find(kernel) != std::string::npos);
}

std::vector<Accepted> read_accepted(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  std::vector<Accepted> all;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    Accepted entry;
    std::size_t at = 0;
    for (std::string* field : {&entry.file, &entry.kind, &entry.kernel, &entry.line}) {
      const std::size_t end = line.find(" | ", at);
      if (end == std::string::npos) throw std::runtime_error(file + ": expected five fields: " + line);
      *field = line.substr(at, end - at);
      at = end + 3;
    }
    entry.reason = line.substr(at);
    all.push_back(entry);
  }
  return all;
}

}  // namespace mutation
