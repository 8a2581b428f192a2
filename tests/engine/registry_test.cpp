// Every public op has a case in the registry: the names are read from the headers of engine/ops.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include <gradus/tests/support/op_case.h>

namespace {

/// Functions that return a Tensor and are no ops of their own, or that only a longer name of them is.
const std::set<std::string> kNotOps = {"number_like"};

std::set<std::string> public_ops() {
  std::set<std::string> names;
  const std::regex declaration("^(?:inline )?(?:Tensor|BatchNormResult) ([a-z][a-z0-9_]*)\\(");
  for (const auto& file : std::filesystem::directory_iterator(GRADUS_SOURCE_DIR "/engine/ops")) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);)
      if (std::smatch m; std::regex_search(line, m, declaration) && !kNotOps.count(m[1])) names.insert(m[1]);
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
