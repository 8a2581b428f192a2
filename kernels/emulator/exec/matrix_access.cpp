#include <gradus/kernels/emulator/exec/matrix_access.h>

#include <cstring>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

constexpr std::uint32_t kScratchHalf = 16 * kLanes;  // Decoder::scrap() is twice as large: addresses, then values

const MatrixAccess::Staged& staged_of(const Decoded& d) { return static_cast<const MatrixAccess::Staged&>(access_of(d)); }

void load_staged(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  observe(warp, d, lanes, space);
  const MatrixAccess::Staged& access = staged_of(d);
  for_lanes(lanes.active,
            [&](int l) { std::memcpy(access.staged + static_cast<std::uint32_t>(l) * access.bytes, lanes.host(l), access.bytes); });
}

void store_staged(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  observe(warp, d, lanes, space);
  const MatrixAccess::Staged& access = staged_of(d);
  for_lanes(lanes.active,
            [&](int l) { std::memcpy(lanes.host(l), access.staged + static_cast<std::uint32_t>(l) * access.bytes, access.bytes); });
  ++warp.block->progress;
  if (!lanes.contiguous) observe_after_store(warp, d, lanes);
}

}  // namespace

MatrixAccess make_matrix_access(Decoder& decoder, const ptx::Instruction& instruction, const ptx::Operand& address, Role role,
                                std::uint32_t bytes, Decoded& out) {
  MatrixAccess m;
  MatrixAccess::Staged access;
  access.role = role;
  for (const std::string& word : instruction.modifiers) {
    if (word == "shared" || word == "shared::cta") access.space = ptx::Space::shared;
    if (word == "global") access.space = ptx::Space::global;
  }
  bind_address(decoder, address, access, out);
  m.outer = decoder.keep(Access(access));
  access.elements = 1;
  access.element_bytes = access.register_bytes = static_cast<std::uint8_t>(bytes);
  access.bytes = bytes;
  access.base = Access::Base::wide;
  const Ref scratch = decoder.scrap();
  access.values[0] = {scratch.offset + kScratchHalf, scratch.base};
  m.access = decoder.keep(std::move(access));
  m.inner = out;
  m.inner.a = scratch;
  m.inner.immediate = 0;
  m.inner.extra = m.access;
  return m;
}

void transfer(Warp& warp, const MatrixAccess& m, Mask active, std::byte* staged) {
  m.access->staged = staged;
  for_each_space(warp, m.inner, active, m.access->role == Role::load ? load_staged : store_staged);
}

}  // namespace gradus::emulator
