// PTX of arbitrary bytes, parsed and loaded: a module that could run, or an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/ptx/parser.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gradus::emulator;
  try {
    ptx::Module module = ptx::parse({reinterpret_cast<const char*>(data), size});
    // Every resolved label is an instruction of its function, or its end.
    for (const auto& f : module.functions) {
      for (const ptx::Instruction& i : f->body) {
        const bool branches = i.mnemonic == "bra" && !i.operands.empty();
        if (branches && (i.operands[0].index < 0 || static_cast<std::size_t>(i.operands[0].index) > f->body.size())) std::abort();
      }
    }
#ifndef GRADUS_PTX_PARSER_ONLY
    const LoadedModule loaded(std::move(module));
    for (const auto& f : loaded.program().functions) {
      if (loaded.code_of(f.get())->instructions.size() != f->body.size()) std::abort();
    }
#endif
  } catch (const ptx::ParseError&) {
  } catch (const Unsupported&) {}
  return 0;
}
