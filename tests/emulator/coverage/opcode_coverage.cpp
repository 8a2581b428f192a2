// Does every opcode of the kernels have a test? opcode_coverage TEST_EMULATOR PTX...: runs the tests of opcodes (tests/emulator/opcodes_*),
// which list what they ran, and prints every typed opcode of the PTX that is not on the list, with a line that uses it.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include <gradus/kernels/emulator/ptx/parser.h>
#include <gradus/kernels/emulator/ptx/program.h>

namespace {

using namespace gradus::emulator;

std::string text_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string opcode_of(const ptx::Instruction& instruction) {
  std::string opcode = instruction.mnemonic;
  for (const std::string& m : instruction.modifiers) opcode += "." + m;
  return opcode;
}

/// Runs the tests; returns what they ran.
std::set<std::string> tested_opcodes(const std::string& binary) {
  char list[] = "/tmp/gradus_opcodes_XXXXXX";
  const int file = mkstemp(list);
  if (file < 0) throw std::runtime_error("cannot create a file in /tmp");
  close(file);
  const std::string command =
      "GRADUS_TESTED_OPCODES='" + std::string(list) + "' '" + binary + "' '--source-file=*/opcodes_*' --no-intro=true --minimal=true";
  const int result = std::system(command.c_str());
  std::ifstream in(list);
  std::set<std::string> opcodes{std::istream_iterator<std::string>(in), {}};
  unlink(list);
  if (result != 0) throw std::runtime_error("the tests of opcodes fail: " + command);
  if (opcodes.empty()) throw std::runtime_error(binary + " ran no opcode");
  return opcodes;
}

int compare(const std::string& binary, int files, char** names) {
  std::map<std::string, std::string> used;  // opcode -> where first
  for (int k = 0; k < files; ++k) {
    const ptx::Module module = ptx::parse(text_of(names[k]));
    for (const auto& function : module.functions) {
      for (const ptx::Instruction& i : function->body)
        used.emplace(opcode_of(i), std::string(names[k]) + ":" + std::to_string(i.text_line) + ": " + i.text);
    }
  }
  const std::set<std::string> tested = tested_opcodes(binary);
  int missing = 0;
  for (const auto& [opcode, where] : used) {
    if (tested.contains(opcode)) continue;
    std::printf("%s has no test; %s\n", opcode.c_str(), where.c_str());
    ++missing;
  }
  std::printf("%d PTX files use %zu opcodes, %d of them without a test; %zu tested.\n", files, used.size(), missing, tested.size());
  return missing == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: opcode_coverage TEST_EMULATOR PTX...\n");
    return 2;
  }
  try {
    return compare(argv[1], argc - 2, argv + 2);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "opcode_coverage: %s\n", error.what());
    return 2;
  }
}
