// ldmatrix, stmatrix, movmatrix: 8 x 8 matrices of 16-bit elements. A lane holds elements 2 * (lane % 4) and the next of row lane / 4.
#include <cstring>

#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/matrix.h>
#include <gradus/kernels/emulator/exec/matrix_access.h>

namespace gradus::emulator {
namespace {

constexpr int kRows = 8;
constexpr std::uint32_t kRowBytes = 16;
using Tile = std::uint16_t[kRows][kRows];

struct MatrixMove {
  std::vector<Ref> registers;  // one matrix each
  bool transposed = false;
  MatrixAccess access;  // of rows: lane 8 * matrix + row names its address
};

std::uint32_t pair_of(const Tile& tile, int lane, bool transposed) {
  const int row = lane / 4, column = 2 * (lane % 4);
  const std::uint32_t low = transposed ? tile[column][row] : tile[row][column];
  const std::uint32_t high = transposed ? tile[column + 1][row] : tile[row][column + 1];
  return low | high << 16;
}

void put_pair(Tile& tile, int lane, bool transposed, std::uint32_t pair) {
  const int row = lane / 4, column = 2 * (lane % 4);
  (transposed ? tile[column][row] : tile[row][column]) = static_cast<std::uint16_t>(pair);
  (transposed ? tile[column + 1][row] : tile[row][column + 1]) = static_cast<std::uint16_t>(pair >> 16);
}

/// Every lane names an address; those of the rows in use count.
void row_addresses(const Warp& warp, const Decoded& d, const MatrixMove& m, std::uint64_t* at) {
  const auto offset = static_cast<std::uint64_t>(d.immediate);
  for (int l = 0; l < kLanes; ++l) {
    if (m.access.outer->base == Access::Base::none) at[l] = offset;
    else if (m.access.outer->base == Access::Base::narrow)
      at[l] = static_cast<std::uint32_t>(warp.lanes_of<std::uint32_t>(d.a)[l] + offset);
    else at[l] = warp.lanes_of<std::uint64_t>(d.a)[l] + offset;
  }
}

Mask rows_in_use(const MatrixMove& m) { return m.registers.size() == 4 ? kAll : (Mask{1} << (kRows * m.registers.size())) - 1; }

Flow run_ldmatrix(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const MatrixMove& m = *static_cast<const MatrixMove*>(d.extra);
  alignas(64) Tile tiles[4] = {};
  row_addresses(warp, d, m, addresses_of(warp, m.access));
  transfer(warp, m.access, active & rows_in_use(m), reinterpret_cast<std::byte*>(tiles));
  for (std::size_t r = 0; r < m.registers.size(); ++r) {
    map_lanes(warp.lanes_of<std::uint32_t>(m.registers[r]), active, [&](int l) { return pair_of(tiles[r], l, m.transposed); });
  }
  return Flow::next;
}

Flow run_stmatrix(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const MatrixMove& m = *static_cast<const MatrixMove*>(d.extra);
  alignas(64) Tile tiles[4] = {};
  for (std::size_t r = 0; r < m.registers.size(); ++r) {
    const std::uint32_t* words = warp.lanes_of<std::uint32_t>(m.registers[r]);
    for (int l = 0; l < kLanes; ++l) put_pair(tiles[r], l, m.transposed, words[l]);
  }
  row_addresses(warp, d, m, addresses_of(warp, m.access));
  std::memcpy(values_of(warp, m.access), tiles, sizeof tiles);
  transfer(warp, m.access, active & rows_in_use(m), reinterpret_cast<std::byte*>(tiles));
  return Flow::next;
}

Flow run_movmatrix(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  Tile tile;
  const std::uint32_t* a = warp.lanes_of<std::uint32_t>(d.a);
  for (int l = 0; l < kLanes; ++l) put_pair(tile, l, false, a[l]);
  map_lanes(warp.lanes_of<std::uint32_t>(d.d), active, [&](int l) { return pair_of(tile, l, true); });
  return Flow::next;
}

void select_rows(Decoder& decoder, const ptx::Instruction& i, Decoded& out, bool is_load) {
  allow_modifiers(decoder, i, {"sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta"});
  if (!i.has("m8n8") || i.type() != ptx::Type::b16) decoder.unsupported("only .m8n8 and .b16 are known");
  expect_operands(decoder, i, 2);
  MatrixMove m;
  const ptx::Operand& values = i.operands[is_load ? 0 : 1];
  m.registers = is_load ? fragment_destinations(decoder, values, ptx::Type::b32) : fragment_sources(decoder, values, ptx::Type::b32);
  const std::size_t matrices = i.has("x4") ? 4 : i.has("x2") ? 2 : 1;
  if (m.registers.size() != matrices) decoder.unsupported("expected " + std::to_string(matrices) + " registers");
  m.transposed = i.has("trans");
  m.access = make_matrix_access(decoder, i, i.operands[is_load ? 1 : 0], is_load ? Role::load : Role::store, kRowBytes, out);
  out.run = is_load ? run_ldmatrix : run_stmatrix;
  out.instruction_class = kMemory;
  out.extra = decoder.keep(std::move(m));
}
void select_ldmatrix(Decoder& decoder, const ptx::Instruction& i, Decoded& out) { select_rows(decoder, i, out, true); }
void select_stmatrix(Decoder& decoder, const ptx::Instruction& i, Decoded& out) { select_rows(decoder, i, out, false); }

void select_movmatrix(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"sync", "aligned", "m8n8", "trans"});
  bind(decoder, i, out, ptx::Type::b32, ptx::Type::b32);
  out.run = run_movmatrix;
  out.instruction_class = kOther;
}

void select_wmma(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  const std::string what = i.modifiers.empty() ? "" : i.modifiers[0];
  if (what == "mma") return select_wmma_multiply(decoder, i, out);
  if (what == "load" || what == "store") return select_wmma_memory(decoder, i, out);
  decoder.unsupported("expected load, store or mma");
}

}  // namespace

void register_matrix_move() {
  add_selector("ldmatrix", select_ldmatrix);
  add_selector("stmatrix", select_stmatrix);
  add_selector("movmatrix", select_movmatrix);
  add_selector("wmma", select_wmma);
}

}  // namespace gradus::emulator
