// ld, st, ldu, and what is only advice to the caches.
#include <gradus/kernels/emulator/exec/access.h>

#include <algorithm>
#include <cstring>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {

void register_atomic();  // exec/atomic.cpp
void register_async();   // exec/async.cpp

namespace {

/// Registers of R take memory's M, sign- or zero-extended by the types.
template <class M, class R> void load_element(R* registers, const Lanes& lanes, std::uint64_t offset) {
  if (lanes.contiguous && sizeof(M) == sizeof(R)) {
    const std::uint64_t stride = lanes.at[1] - lanes.at[0];
    const std::byte* from = lanes.host(0) + offset;
    if (stride == sizeof(M)) {
      std::memcpy(registers, from, sizeof(M) * kLanes);
      return;
    }
    for (int l = 0; l < kLanes; ++l) std::memcpy(registers + l, from + static_cast<std::uint64_t>(l) * stride, sizeof(M));
    return;
  }
  const auto one = [&](int l) {
    M value;
    std::memcpy(&value, lanes.host(l) + offset, sizeof(M));
    registers[l] = static_cast<R>(value);
  };
  if (lanes.active != kAll) return for_lanes(lanes.active, one);
  for (int l = 0; l < kLanes; ++l) one(l);
}

template <class M, class R> void load_elements(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const Access& access = access_of(d);
  observe(warp, d, lanes, space);
  for (std::uint32_t e = 0; e < access.elements; ++e) load_element<M, R>(warp.lanes_of<R>(access.values[e]), lanes, e * sizeof(M));
}

template <class R> void zero_lanes(Warp& warp, const Access& access, Mask refused) {
  for (std::uint32_t e = 0; e < access.elements; ++e) {
    R* registers = warp.lanes_of<R>(access.values[e]);
    for_lanes(refused, [&](int l) { registers[l] = R{}; });
  }
}

template <class M, class R> Flow load(Warp& warp, const Decoded& d, Mask active) {
  const Mask refused = for_each_space(warp, d, active, load_elements<M, R>);
  if (refused != 0) zero_lanes<R>(warp, access_of(d), refused);
  return Flow::next;
}

template <class M, class R> void store_element(const R* registers, const Lanes& lanes, std::uint64_t offset) {
  if (lanes.contiguous && sizeof(M) == sizeof(R)) {
    const std::uint64_t stride = lanes.at[1] - lanes.at[0];
    std::byte* to = lanes.host(0) + offset;
    if (stride == sizeof(M)) {
      std::memcpy(to, registers, sizeof(M) * kLanes);
      return;
    }
    for (int l = 0; l < kLanes; ++l) std::memcpy(to + static_cast<std::uint64_t>(l) * stride, registers + l, sizeof(M));
    return;
  }
  const auto one = [&](int l) {
    const M value = static_cast<M>(registers[l]);
    std::memcpy(lanes.host(l) + offset, &value, sizeof(M));
  };
  if (lanes.active != kAll) return for_lanes(lanes.active, one);
  for (int l = 0; l < kLanes; ++l) one(l);
}

template <class M, class R> void store_elements(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const Access& access = access_of(d);
  observe(warp, d, lanes, space);
  for (std::uint32_t e = 0; e < access.elements; ++e) store_element<M, R>(warp.lanes_of<R>(access.values[e]), lanes, e * sizeof(M));
  if (space == ptx::Space::global || space == ptx::Space::shared) {
    ++warp.block->progress;
    if (!lanes.contiguous && !(lanes.pattern != nullptr && lanes.pattern->distinct)) observe_after_store(warp, d, lanes);
  }
}

template <class M, class R> Flow store(Warp& warp, const Decoded& d, Mask active) {
  for_each_space(warp, d, active, store_elements<M, R>);
  return Flow::next;
}

struct Wide {
  std::uint64_t half[2] = {0, 0};
};

/// The handler for elements of `memory` bytes in registers of `width` bytes.
template <class M8, class M16, class M32> Handler loader(int memory, int width) {
  switch (memory * 100 + width) {
    case 102: return load<M8, std::uint16_t>;
    case 104: return load<M8, std::uint32_t>;
    case 108: return load<M8, std::uint64_t>;
    case 202: return load<M16, std::uint16_t>;
    case 204: return load<M16, std::uint32_t>;
    case 208: return load<M16, std::uint64_t>;
    case 404: return load<M32, std::uint32_t>;
    case 408: return load<M32, std::uint64_t>;
    case 808: return load<std::uint64_t, std::uint64_t>;
    case 1616: return load<Wide, Wide>;
    default: return nullptr;
  }
}

Handler storer(int memory, int width) {
  switch (memory * 100 + width) {
    case 101: return store<std::uint8_t, std::uint8_t>;
    case 102: return store<std::uint8_t, std::uint16_t>;
    case 104: return store<std::uint8_t, std::uint32_t>;
    case 108: return store<std::uint8_t, std::uint64_t>;
    case 202: return store<std::uint16_t, std::uint16_t>;
    case 204: return store<std::uint16_t, std::uint32_t>;
    case 208: return store<std::uint16_t, std::uint64_t>;
    case 404: return store<std::uint32_t, std::uint32_t>;
    case 408: return store<std::uint32_t, std::uint64_t>;
    case 808: return store<std::uint64_t, std::uint64_t>;
    case 1616: return store<Wide, Wide>;
    default: return nullptr;
  }
}

/// A type by which to ask for a register of that width.
ptx::Type untyped(int bytes) {
  switch (bytes) {
    case 1: return ptx::Type::b8;
    case 2: return ptx::Type::b16;
    case 4: return ptx::Type::b32;
    case 8: return ptx::Type::b64;
    default: return ptx::Type::b128;
  }
}

/// The registers or immediates of a value operand. All elements of a vector have one width.
void bind_values(Decoder& decoder, const ptx::Operand& operand, ptx::Type type, Access& access) {
  const bool vector = operand.kind == ptx::Operand::Kind::vector;
  const std::size_t count = vector ? operand.elements.size() : 1;
  if (count != access.elements) decoder.unsupported("the operand has " + std::to_string(count) + " elements");
  int width = 0;
  const auto element = [&](std::size_t i) -> const ptx::Operand& { return vector ? operand.elements[i] : operand; };
  for (std::size_t i = 0; i < count; ++i) {
    if (element(i).kind == ptx::Operand::Kind::reg) width = decoder.register_bytes(element(i));
  }
  const bool immediates = width == 0;
  if (immediates) width = bytes_of(type);
  for (std::size_t i = 0; i < count; ++i) {
    const ptx::Operand& one = element(i);
    if (one.kind == ptx::Operand::Kind::sink) access.values[i] = decoder.scrap();
    else if (access.role == Role::load) access.values[i] = decoder.destination(one, untyped(width));
    // A float written as an immediate keeps its type; beside registers it takes their width.
    else
      access.values[i] = decoder.source(one, one.kind == ptx::Operand::Kind::immediate && bytes_of(type) == width ? type : untyped(width));
  }
  access.register_bytes = static_cast<std::uint8_t>(width);
}

void add_variables(Decoder& decoder, const std::vector<ptx::Variable>& variables, ptx::Operand::Symbol symbol, Access& access) {
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const ptx::Variable& variable = variables[i];
    if (variable.space != ptx::Space::shared || variable.bytes == 0) continue;
    const bool of_module = symbol == ptx::Operand::Symbol::module_variable;  // at this place only if the function's own code names it
    if (of_module && !decoder.function->shared_places.count(static_cast<std::int32_t>(i))) continue;
    ptx::Operand operand;
    operand.kind = ptx::Operand::Kind::symbol;
    operand.symbol = symbol;
    operand.symbol_index = static_cast<std::int32_t>(i);
    operand.name = variable.name;
    const std::uint64_t begin = decoder.address_of(operand);
    access.variables.push_back({begin, begin + variable.bytes, variable.align, variable.name, false});
  }
}

/// Static shared variables, for the check of their declared alignment.
void bind_variables(Decoder& decoder, Access& access) {
  const bool may_be_shared = access.space == ptx::Space::shared || access.space == ptx::Space::generic;
  if (access.bytes <= 4 || !may_be_shared) return;
  add_variables(decoder, decoder.function->variables, ptx::Operand::Symbol::function_variable, access);
  add_variables(decoder, decoder.module->variables, ptx::Operand::Symbol::module_variable, access);
  // Variables that are as wide as the access, or several times so, keep each other at its multiples.
  const auto is_odd = [&](const SharedVariable& v) { return (v.end - v.begin) % access.bytes != 0; };
  const auto odd = std::count_if(access.variables.begin(), access.variables.end(), is_odd);
  for (SharedVariable& v : access.variables) v.fits = odd == 0 || (odd == 1 && is_odd(v));
}

void select_access(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out, Role role) {
  const std::size_t at = role == Role::load ? 1 : 0;
  if (instruction.operands.size() < 2) decoder.unsupported("it needs two operands");
  Access access;
  access.role = role;
  bind_modifiers(decoder, instruction, access);
  const ptx::Type type = instruction.type();
  if (type == ptx::Type::none || type == ptx::Type::pred) decoder.unsupported("it has no type");
  access.element_bytes = static_cast<std::uint8_t>(bytes_of(type));
  access.bytes = std::uint32_t{access.elements} * access.element_bytes;
  access.floating = is_floating(type);
  bind_address(decoder, instruction.operands[at], access, out);
  bind_values(decoder, instruction.operands[1 - at], type, access);
  bind_variables(decoder, access);
  if (role == Role::store) {
    out.run = storer(access.element_bytes, access.register_bytes);
  } else {
    // A compiler loads early, before it is clear whether the value counts, where the address is good whatever happens.
    const bool good_address = access.space == ptx::Space::local || access.base == Access::Base::none;
    access.unread = good_address && decoder.is_merely_selected(instruction.operands[0]);
    out.run = is_signed(type) ? loader<std::int8_t, std::int16_t, std::int32_t>(access.element_bytes, access.register_bytes)
                              : loader<std::uint8_t, std::uint16_t, std::uint32_t>(access.element_bytes, access.register_bytes);
  }
  if (out.run == nullptr) decoder.unsupported("no such pair of widths");
  out.instruction_class = kMemory;
  out.extra = decoder.keep(std::move(access));
}

void select_load(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  select_access(decoder, instruction, out, Role::load);
}
void select_store(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  select_access(decoder, instruction, out, Role::store);
}

Flow nothing(Warp&, const Decoded&, Mask) { return Flow::next; }

void select_advice(Decoder&, const ptx::Instruction&, Decoded& out) {
  out.run = nothing;
  out.instruction_class = kMemory;
}

Flow zero_policy(Warp& warp, const Decoded& d, Mask active) {
  std::uint64_t* policy = warp.lanes_of<std::uint64_t>(d.d);
  map_lanes(policy, active, [](int) { return std::uint64_t{0}; });
  return Flow::next;
}

/// A cache policy is opaque: nobody looks at it but hints that are ignored.
void select_policy(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  if (instruction.operands.empty()) decoder.unsupported("it needs a destination");
  out.d = decoder.destination(instruction.operands[0], ptx::Type::b64);
  out.run = zero_policy;
  out.instruction_class = kMemory;
}

}  // namespace

void value_of_lane(const Warp& warp, const Access& access, int lane, std::byte* out) {
  for (std::uint32_t e = 0; e < access.elements; ++e) {
    const std::byte* value = warp.lanes_of<std::byte>(access.values[e]) + static_cast<std::size_t>(lane) * access.register_bytes;
    std::memcpy(out + e * access.element_bytes, value, access.element_bytes);
  }
}

void register_memory() {
  add_selector("ld", select_load);
  add_selector("ldu", select_load);
  add_selector("st", select_store);
  for (const char* advice : {"prefetch", "prefetchu", "applypriority", "discard"}) add_selector(advice, select_advice);
  add_selector("createpolicy", select_policy);
  register_atomic();
  register_async();
}

}  // namespace gradus::emulator
