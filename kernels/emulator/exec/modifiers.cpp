// Operands and modifiers that all memory instructions share.
#include <gradus/kernels/emulator/exec/access.h>

#include <algorithm>
#include <string_view>

namespace gradus::emulator {
namespace {

template <std::size_t N> bool any_of(std::string_view text, const char* const (&list)[N]) {
  return std::any_of(std::begin(list), std::end(list), [&](const char* one) { return text == one; });
}

bool is_cache_hint(std::string_view m) {
  static constexpr const char* kHints[] = {"ca",
                                           "cg",
                                           "cs",
                                           "lu",
                                           "cv",
                                           "wb",
                                           "wt",
                                           "nc",
                                           "L1::evict_normal",
                                           "L1::evict_unchanged",
                                           "L1::evict_first",
                                           "L1::evict_last",
                                           "L1::no_allocate",
                                           "L2::evict_normal",
                                           "L2::evict_first",
                                           "L2::evict_last",
                                           "L2::cache_hint",
                                           "L2::64B",
                                           "L2::128B",
                                           "L2::256B",
                                           "unified",
                                           "level::eviction_priority"};
  return any_of(m, kHints);
}

bool set_space(std::string_view m, Access& access) {
  if (m == "global") access.space = ptx::Space::global;
  else if (m == "shared" || m == "shared::cta" || m == "shared::cluster") access.space = ptx::Space::shared;
  else if (m == "local") access.space = ptx::Space::local;
  else if (m == "const") access.space = ptx::Space::constant, access.constant = true;
  else if (m == "param" || m == "param::entry" || m == "param::func") access.space = ptx::Space::param;
  else return false;
  return true;
}

bool set_semantics(std::string_view m, Access& access) {
  const Strength strong = access.role == Role::atomic ? Strength::atomic : Strength::strong;
  if (m == "weak") return true;
  if (m == "volatile" || m == "relaxed" || m == "mmio") {
    access.strength = strong;
  } else if (m == "acquire" || m == "release" || m == "acq_rel") {
    access.strength = strong;
    access.acquire = m != "release";
    access.release = m != "acquire";
  } else {
    return false;
  }
  return true;
}

}  // namespace

void bind_modifiers(Decoder& decoder, const ptx::Instruction& instruction, Access& access) {
  if (access.role == Role::atomic) access.strength = Strength::atomic;
  for (const std::string& m : instruction.modifiers) {
    if (set_space(m, access) || set_semantics(m, access) || is_cache_hint(m)) continue;
    if (m == "cta") access.device_scope = false;
    else if (m == "gpu" || m == "sys" || m == "cluster") access.device_scope = true;
    else if (m == "v2" || m == "v4" || m == "v8") access.elements = static_cast<std::uint8_t>(m[1] - '0');
    else if (access.role == Role::atomic || ptx::type_of(m) != ptx::Type::none) continue;  // an atomic's operation: its selector knows
    else decoder.unsupported("modifier ." + m);
  }
}

void bind_address(Decoder& decoder, const ptx::Operand& operand, Access& access, Decoded& out) {
  if (operand.kind != ptx::Operand::Kind::memory && operand.kind != ptx::Operand::Kind::symbol)
    decoder.unsupported("operand " + operand.name + " is no address");
  out.immediate = operand.offset;
  if (operand.kind == ptx::Operand::Kind::memory && operand.index >= 0) {
    ptx::Operand base;
    base.kind = ptx::Operand::Kind::reg;
    base.index = operand.index;
    base.name = operand.name;
    const int bytes = decoder.register_bytes(base);
    if (bytes != 4 && bytes != 8) decoder.unsupported("an address of " + std::to_string(bytes) + " bytes");
    access.base = bytes == 4 ? Access::Base::narrow : Access::Base::wide;
    out.a = decoder.source(base, bytes == 4 ? ptx::Type::b32 : ptx::Type::b64);
    if (access.space == ptx::Space::param && !decoder.function->is_entry) access.area = Decoder::ParameterPlace::Area::activation;
    return;
  }
  if (operand.symbol == ptx::Operand::Symbol::none) return;  // an absolute address
  if (access.space == ptx::Space::param) {
    const Decoder::ParameterPlace place = decoder.parameter_place(operand, access.bytes);
    access.area = place.area;
    out.immediate = place.offset;
    return;
  }
  if (access.space == ptx::Space::generic) {
    // [variable] without a space: the generic address of a variable is in its own space.
    const ptx::Space space = decoder.space_of(operand);
    access.space = space == ptx::Space::constant ? ptx::Space::global : space;
  }
  access.symbol_in_local = access.space == ptx::Space::local;
  out.immediate = static_cast<std::int64_t>(decoder.address_of(operand));
}

}  // namespace gradus::emulator
