#include "planted.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace planted {
namespace {

void read_launch(const std::string& line, Kernel& kernel) {
  std::istringstream words(line.substr(line.find("launch:") + 7));
  std::string times, more;
  words >> kernel.blocks >> times >> kernel.threads >> more;
  if (times != "x") throw std::runtime_error("bad launch comment: " + line);
  kernel.cooperative = more == "cooperative";
}

void read_expectation(const std::string& line, std::uint32_t number, Kernel& kernel) {
  std::istringstream words(line.substr(line.find("// finds:") + 9));
  std::string kind;
  words >> kind;
  kernel.expected.emplace(kind, number);
  while (words >> kind) kernel.allowed.emplace(kind, number);
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<Kernel> kernels_of(const std::string& source_path) {
  std::istringstream in(read_file(source_path));
  std::vector<Kernel> kernels;
  Kernel next;
  std::string line;
  for (std::uint32_t number = 1; std::getline(in, line); ++number) {
    if (line.rfind("// launch:", 0) == 0) {
      next = Kernel();
      read_launch(line, next);
    }
    const auto at = line.find("__global__ void ");
    if (at != std::string::npos) {
      next.name = line.substr(at + 16, line.find('(') - at - 16);
      kernels.push_back(next);
    }
    if (line.find("// finds:") != std::string::npos) read_expectation(line, number, kernels.back());
  }
  return kernels;
}

}  // namespace planted
