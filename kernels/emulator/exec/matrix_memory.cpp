// wmma.load and wmma.store: a lane's registers, low bytes first, are an image that moves in chunks of neighbouring elements.
#include <algorithm>
#include <cstring>

#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/matrix.h>
#include <gradus/kernels/emulator/exec/matrix_access.h>

namespace gradus::emulator {
namespace {

constexpr std::size_t kMostImageBytes = 64;  // eight registers of 8 bytes

/// Where a lane's chunk lies in the matrix.
struct Slot {
  std::uint16_t line = 0, position = 0;  // of storage: rows of a row-major matrix
};
struct MatrixTransfer {
  std::vector<Ref> registers;
  std::uint32_t word_bytes = 4;  // of a register
  std::uint32_t bits = 16;       // of an element
  std::uint32_t chunks = 1, chunk_bytes = 4;
  int lanes = kLanes;                // lanes that load; the others repeat them
  std::vector<Slot> slots;           // by chunk * 32 + lane
  Ref stride;                        // in elements
  std::uint64_t default_stride = 0;  // if there is no such operand
  bool has_stride = false;
  MatrixAccess access;
};

/// The address that each lane's operand names. All lanes must give the same one.
void base_addresses(const Warp& warp, const Decoded& d, const Access& access, std::uint64_t* at) {
  const auto offset = static_cast<std::uint64_t>(d.immediate);
  for (int l = 0; l < kLanes; ++l) {
    if (access.base == Access::Base::none) at[l] = offset;
    else if (access.base == Access::Base::narrow) at[l] = static_cast<std::uint32_t>(warp.lanes_of<std::uint32_t>(d.a)[l] + offset);
    else at[l] = warp.lanes_of<std::uint64_t>(d.a)[l] + offset;
  }
}

void chunk_addresses(Warp& warp, const Decoded& d, const MatrixTransfer& t, std::uint32_t chunk, std::uint64_t* at) {
  base_addresses(warp, d, *t.access.outer, at);
  for (int l = 0; l < kLanes; ++l) {
    const Slot slot = t.slots[chunk * kLanes + static_cast<std::uint32_t>(l)];
    const std::uint64_t stride = t.has_stride ? warp.lanes_of<std::uint32_t>(t.stride)[l] : t.default_stride;
    at[l] += (slot.line * stride + slot.position) * t.bits / 8;
  }
}

Flow run_load(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const MatrixTransfer& t = *static_cast<const MatrixTransfer*>(d.extra);
  alignas(64) std::byte image[kLanes][kMostImageBytes];
  const Mask loading = active & (t.lanes == kLanes ? kAll : (Mask{1} << t.lanes) - 1);
  for (std::uint32_t chunk = 0; chunk < t.chunks; ++chunk) {
    chunk_addresses(warp, d, t, chunk, addresses_of(warp, t.access));
    alignas(64) std::byte staged[kLanes * 16] = {};
    transfer(warp, t.access, loading, staged);
    for (int l = 0; l < kLanes; ++l) {
      std::memcpy(image[l] + chunk * t.chunk_bytes, staged + static_cast<std::uint32_t>(l % t.lanes) * t.chunk_bytes, t.chunk_bytes);
    }
  }
  for (std::size_t r = 0; r < t.registers.size(); ++r) {
    std::byte* to = warp.lanes_of<std::byte>(t.registers[r]);
    for_lanes(active,
              [&](int l) { std::memcpy(to + static_cast<std::uint32_t>(l) * t.word_bytes, image[l] + r * t.word_bytes, t.word_bytes); });
  }
  return Flow::next;
}

Flow run_store(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const MatrixTransfer& t = *static_cast<const MatrixTransfer*>(d.extra);
  alignas(64) std::byte image[kLanes][kMostImageBytes];
  for (std::size_t r = 0; r < t.registers.size(); ++r) {
    const std::byte* from = warp.lanes_of<std::byte>(t.registers[r]);
    for (std::uint32_t l = 0; l < kLanes; ++l) std::memcpy(image[l] + r * t.word_bytes, from + l * t.word_bytes, t.word_bytes);
  }
  for (std::uint32_t chunk = 0; chunk < t.chunks; ++chunk) {
    chunk_addresses(warp, d, t, chunk, addresses_of(warp, t.access));
    std::byte* staged = values_of(warp, t.access);
    for (std::uint32_t l = 0; l < kLanes; ++l) std::memcpy(staged + l * t.chunk_bytes, image[l] + chunk * t.chunk_bytes, t.chunk_bytes);
    transfer(warp, t.access, active, staged);
  }
  return Flow::next;
}

std::uint32_t bits_of(ptx::Type type) {
  return type == ptx::Type::b1                            ? 1
         : type == ptx::Type::s4 || type == ptx::Type::u4 ? 4
                                                          : static_cast<std::uint32_t>(ptx::bytes_of(type)) * 8;
}

/// Chunks of a and b: consecutive in storage, as wide as a line and 16 bytes allow.
void lay_out_operand(Decoder& decoder, MatrixTransfer& t, int lines, int line_elements) {
  const auto image_bytes = static_cast<std::uint32_t>(t.registers.size()) * t.word_bytes;
  const std::uint32_t line_bytes = static_cast<std::uint32_t>(line_elements) * t.bits / 8;
  t.chunk_bytes = std::min({16u, image_bytes, line_bytes});
  t.chunks = image_bytes / t.chunk_bytes;
  const std::uint32_t per_lane = image_bytes * 8 / t.bits, all = static_cast<std::uint32_t>(lines * line_elements);
  if (all % per_lane != 0 || image_bytes % t.chunk_bytes != 0) decoder.unsupported("unexpected number of registers");
  t.lanes = static_cast<int>(std::min<std::uint32_t>(kLanes, all / per_lane));
  for (std::uint32_t chunk = 0; chunk < t.chunks; ++chunk) {
    for (std::uint32_t l = 0; l < kLanes; ++l) {
      const std::uint32_t element = (l * per_lane + chunk * t.chunk_bytes * 8 / t.bits) % all;
      const auto width = static_cast<std::uint32_t>(line_elements);
      t.slots.push_back({static_cast<std::uint16_t>(element / width), static_cast<std::uint16_t>(element % width)});
    }
  }
}

/// Chunks of c and d: two neighbours of a row, or one element.
void lay_out_accumulator(Decoder& decoder, MatrixTransfer& t, const MatrixFragment& f, MatrixShape shape, bool row_major) {
  const std::uint32_t element_bytes = t.bits / 8, together = row_major && element_bytes <= 4 ? 2 : 1;
  t.chunk_bytes = element_bytes * together;
  t.chunks = static_cast<std::uint32_t>(t.registers.size()) * t.word_bytes / t.chunk_bytes;
  if (static_cast<int>(t.chunks * together) * kLanes != shape.m * shape.n) decoder.unsupported("unexpected number of registers");
  for (std::uint32_t chunk = 0; chunk < t.chunks; ++chunk) {
    for (std::uint32_t l = 0; l < kLanes; ++l) {
      const std::uint32_t i = chunk * together, per = static_cast<std::uint32_t>(f.per_register);
      const int place = f.place[(i / per * kLanes + l) * per + i % per];
      const auto row = static_cast<std::uint16_t>(place / shape.n), column = static_cast<std::uint16_t>(place % shape.n);
      t.slots.push_back(row_major ? Slot{row, column} : Slot{column, row});
    }
  }
}

void bind_stride(Decoder& decoder, const ptx::Instruction& i, std::size_t at, MatrixTransfer& t) {
  if (i.operands.size() <= at) return;
  t.has_stride = true;
  t.stride = decoder.source(i.operands[at], ptx::Type::b32);
}

}  // namespace

void select_wmma_memory(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  const bool is_load = i.modifiers.at(0) == "load";
  if (i.modifiers.size() < 2 || i.operands.size() < 2 || i.operands.size() > 3)
    decoder.unsupported("expected registers, an address, a stride");
  allow_modifiers(decoder, i,
                  {"load",      "store",    "a",        "b",        "c",      "d",       "sync",     "aligned", "row",         "col",
                   "m16n16k16", "m8n32k16", "m32n8k16", "m16n16k8", "m8n8k4", "m8n8k32", "m8n8k128", "shared",  "shared::cta", "global"});
  const Matrix x = i.modifiers[1] == "a" ? Matrix::a : i.modifiers[1] == "b" ? Matrix::b : Matrix::c;
  const ptx::Type type = i.type();
  MatrixTransfer t;
  MatrixShape shape = shape_of(decoder, i);
  const bool row_major = i.has("row");
  if (row_major == i.has("col") || type == ptx::Type::none) decoder.unsupported("expected .row or .col and a type");
  const ptx::Operand& values = i.operands[is_load ? 0 : 1];
  t.registers = is_load ? fragment_destinations(decoder, values, type) : fragment_sources(decoder, values, type);
  t.word_bytes = static_cast<std::uint32_t>(ptx::bytes_of(register_type(type)));
  t.bits = bits_of(type);
  if (t.registers.size() > 8) decoder.unsupported("too many registers");
  const int lines = row_major ? shape.rows(x) : shape.columns(x), line_elements = row_major ? shape.columns(x) : shape.rows(x);
  t.default_stride = static_cast<std::uint64_t>(line_elements);
  if (x == Matrix::c) {
    lay_out_accumulator(decoder, t, wmma_fragment(x, shape, type, row_major, static_cast<int>(t.registers.size())), shape, row_major);
  } else {
    lay_out_operand(decoder, t, lines, line_elements);
  }
  bind_stride(decoder, i, 2, t);
  t.access = make_matrix_access(decoder, i, i.operands[is_load ? 1 : 0], is_load ? Role::load : Role::store, t.chunk_bytes, out);
  out.run = is_load ? run_load : run_store;
  out.instruction_class = kMemory;
  out.extra = decoder.keep(std::move(t));
}

}  // namespace gradus::emulator
