// Every public op has a case in the registry: the names are read from the headers of engine/ops.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gradus/tests/support/op_case.h>

namespace {

/// Functions that return a Tensor and are no ops of their own, or that only a longer name of them is.
const std::set<std::string> kNotOps = {"number_like"};

/// The function that a line of a header declares, if it returns a tensor; otherwise nothing.
std::string declared(const std::string& line) {
  for (const std::string type : {"Tensor ", "BatchNormResult "}) {
    const std::size_t open = line.find('(');
    if (line.rfind(type, 0) != 0 || open == std::string::npos) continue;
    const std::string name = line.substr(type.size(), open - type.size());
    if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos) return name;
  }
  return {};
}

std::set<std::string> public_ops() {
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(GRADUS_SOURCE_DIR "/engine/ops")) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);)
      if (const std::string name = declared(line); !name.empty() && !kNotOps.count(name)) names.insert(name);
  }
  return names;
}

}  // namespace

TEST_CASE("every public op has a case") {
  std::set<std::string> cased;
  for (const gradus::testing::OpCase& c : gradus::testing::op_cases()) cased.insert(c.op);
  const std::set<std::string> ops = public_ops();
  CHECK(ops.size() > 70);
  for (const std::string& op : ops) {
    INFO("no case for ", op);
    CHECK(cased.count(op) == 1);
  }
}
