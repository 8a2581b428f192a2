// The PTX parser on arbitrary bytes: a module or a ParseError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <gradus/kernels/emulator/ptx/parser.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gradus::emulator::ptx;
  try {
    const Module module = parse({reinterpret_cast<const char*>(data), size});
    // Every resolved label is an instruction of its function, or its end.
    for (const auto& f : module.functions) {
      for (const Instruction& i : f->body) {
        const bool branches = i.mnemonic == "bra" && !i.operands.empty();
        if (branches && (i.operands[0].index < 0 || static_cast<std::size_t>(i.operands[0].index) > f->body.size())) std::abort();
      }
    }
  } catch (const ParseError&) {}
  return 0;
}
