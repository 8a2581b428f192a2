// Layouts of matrices over a warp, and what the matrix instructions share.
#include <gradus/kernels/emulator/exec/matrix.h>

#include <algorithm>
#include <cstdio>

#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {

MatrixShape shape_of(Decoder& decoder, const ptx::Instruction& instruction) {
  MatrixShape shape;
  for (const std::string& m : instruction.modifiers) {
    int used = 0;
    MatrixShape s;
    if (std::sscanf(m.c_str(), "m%dn%dk%d%n", &s.m, &s.n, &s.k, &used) == 3 && used == static_cast<int>(m.size())) shape = s;
  }
  const auto fits = [](int extent, int most) { return extent >= 4 && extent <= most && extent % 4 == 0; };
  if (!fits(shape.m, 32) || !fits(shape.n, 32) || !fits(shape.k, 256)) decoder.unsupported("unknown shape");
  return shape;
}

int elements_per_register(ptx::Type type) {
  switch (type) {
    case ptx::Type::f16:
    case ptx::Type::bf16: return 2;
    case ptx::Type::s8:
    case ptx::Type::u8:
    case ptx::Type::e4m3:
    case ptx::Type::e5m2: return 4;
    case ptx::Type::s4:
    case ptx::Type::u4: return 8;
    default: return 1;  // b1 too: a word of 32
  }
}

ptx::Type register_type(ptx::Type element) {
  return element == ptx::Type::f64 ? ptx::Type::f64 : element == ptx::Type::f32 ? ptx::Type::f32 : ptx::Type::b32;
}

MatrixFragment mma_fragment(Matrix x, MatrixShape shape, ptx::Type type) {
  MatrixFragment f;
  f.per_register = elements_per_register(type);
  const int rows = shape.rows(x), columns = shape.columns(x);
  f.registers = std::max(1, rows * columns / (kLanes * f.per_register));
  for (int r = 0; r < f.registers; ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int part = 0; part < f.per_register; ++part) {
        const int group = lane / 4, in_group = lane % 4;
        int row = 0, column = 0;
        if (x == Matrix::a) {
          const int halves = rows / 8;  // eight rows each
          row = group + 8 * (r % halves);
          column = (in_group + 4 * (r / halves)) * f.per_register + part;
        } else if (x == Matrix::b) {
          row = (in_group + 4 * r) * f.per_register + part;
          column = group;
        } else {
          const int i = r * f.per_register + part;
          row = group + 8 * (i / 2);
          column = in_group * 2 + i % 2;
        }
        f.place.push_back(static_cast<std::uint16_t>(row * columns + column));
      }
    }
  }
  return f;
}

namespace {

/// wmma's c and d: pieces of mma's accumulators side by side, or below each other.
std::uint16_t accumulator_place(MatrixShape shape, int lane, int i) {
  const int piece_rows = std::min(shape.m, 16), in_piece = piece_rows / 4;  // elements of a lane in a piece of 8 columns
  const int piece = i / in_piece, j = i % in_piece;
  const int down = shape.n == 8 ? piece : 0, right = shape.n == 8 ? 0 : piece;
  const int row = 16 * down + lane / 4 + 8 * (j / 2), column = 8 * right + lane % 4 * 2 + j % 2;
  return static_cast<std::uint16_t>(row * shape.n + column);
}

}  // namespace

MatrixFragment wmma_fragment(Matrix x, MatrixShape shape, ptx::Type type, bool row_major, int registers) {
  MatrixFragment f;
  f.per_register = elements_per_register(type);
  f.registers = registers;
  const int rows = shape.rows(x), columns = shape.columns(x), per_lane = registers * f.per_register;
  for (int r = 0; r < registers; ++r) {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int part = 0; part < f.per_register; ++part) {
        const int i = r * f.per_register + part, stored = (lane * per_lane + i) % (rows * columns);
        const int place = row_major ? stored : stored % rows * columns + stored / rows;
        f.place.push_back(x == Matrix::c ? accumulator_place(shape, lane, i) : static_cast<std::uint16_t>(place));
      }
    }
  }
  return f;
}

namespace {

template <class F> std::vector<Ref> each_register(const ptx::Operand& operand, F ref) {
  std::vector<Ref> refs;
  if (operand.kind != ptx::Operand::Kind::vector) return {ref(operand)};
  for (const ptx::Operand& one : operand.elements) refs.push_back(ref(one));
  return refs;
}

}  // namespace

std::vector<Ref> fragment_sources(Decoder& decoder, const ptx::Operand& operand, ptx::Type element) {
  return each_register(operand, [&](const ptx::Operand& one) { return decoder.source(one, register_type(element)); });
}

std::vector<Ref> fragment_destinations(Decoder& decoder, const ptx::Operand& operand, ptx::Type element) {
  return each_register(operand, [&](const ptx::Operand& one) { return decoder.destination(one, register_type(element)); });
}

bool whole_warp_is_here(Warp& warp, const Decoded& d, Mask active) {
  if (active == kAll) return true;
  WarpRun& run = run_of(warp);
  const Mask live = live_lanes(warp);
  if (active != live && !run.forced) {
    leave_inactive_behind(warp, active);
    warp.current->wait = Fragment::Wait::warp_sync;
    return false;
  }
  run.forced = false;
  report(Kind::shuffle_mask, warp, d, first_lane(active),
         "all 32 lanes of the warp must execute this instruction together: " + whereabouts(warp, ~active));
  return true;
}

void register_matrix() {
  register_matrix_multiply();
  register_matrix_move();
}

}  // namespace gradus::emulator
