// Helpers of the selectors.
#include <algorithm>
#include <string>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {

void expect_operands(Decoder& decoder, const ptx::Instruction& instruction, std::size_t n) {
  if (instruction.operands.size() != n)
    decoder.unsupported("expected " + std::to_string(n) + " operands, there are " + std::to_string(instruction.operands.size()));
}

Ref destination_or_scrap(Decoder& decoder, const ptx::Operand& operand, ptx::Type type) {
  return operand.kind == ptx::Operand::Kind::sink ? decoder.scrap() : decoder.destination(operand, type);
}

void bind(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out, ptx::Type d, ptx::Type a, ptx::Type b, ptx::Type c) {
  const ptx::Type sources[] = {a, b, c};
  Ref* const refs[] = {&out.a, &out.b, &out.c};
  const auto n =
      static_cast<std::size_t>(std::count_if(std::begin(sources), std::end(sources), [](ptx::Type t) { return t != ptx::Type::none; }));
  expect_operands(decoder, instruction, n + 1);
  out.d = destination_or_scrap(decoder, instruction.operands[0], d);
  for (std::size_t i = 0; i < n; ++i) *refs[i] = decoder.source(instruction.operands[i + 1], sources[i]);
}

void allow_modifiers(Decoder& decoder, const ptx::Instruction& instruction, std::initializer_list<const char*> allowed) {
  for (const std::string& m : instruction.modifiers) {
    if (ptx::type_of(m) != ptx::Type::none) continue;
    if (std::none_of(allowed.begin(), allowed.end(), [&](const char* a) { return m == a; }))
      decoder.unsupported("modifier ." + m + " is not known here");
  }
}

}  // namespace gradus::emulator
