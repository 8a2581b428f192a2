// Matrices spread over a warp: which lane and register holds which element. Private to exec/matrix*.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/exec/decoder.h>

namespace gradus::emulator {

enum class Matrix : std::uint8_t { a, b, c };  // m x k, k x n, m x n (c: also d)

struct MatrixShape {
  int m = 0, n = 0, k = 0;
  int rows(Matrix x) const { return x == Matrix::b ? k : m; }
  int columns(Matrix x) const { return x == Matrix::a ? k : n; }
};
/// From the modifier "m16n8k16"; throws unsupported if there is none.
MatrixShape shape_of(Decoder& decoder, const ptx::Instruction& instruction);

/// The elements that the registers of a warp hold.
struct MatrixFragment {
  int registers = 0;  // per lane
  int per_register = 1;
  /// By (register * 32 + lane) * per_register + part: index in the dense matrix, row * columns + column. Bits (.b1) count in words of 32.
  std::vector<std::uint16_t> place;
};
/// Of mma: the layout of the PTX manual, one formula for all types.
MatrixFragment mma_fragment(Matrix x, MatrixShape shape, ptx::Type type);
/// Of wmma, where the manual leaves the layout open. a, b: each lane has a stretch of the matrix in storage order, and stretches repeat
/// if there are more registers than elements. c: made of mma's pieces, as on sm_80, because programs have been seen that rely on it.
MatrixFragment wmma_fragment(Matrix x, MatrixShape shape, ptx::Type type, bool row_major, int registers);

/// Elements in a 32-bit register (f64: in its 64 bits).
int elements_per_register(ptx::Type type);
/// How a register of a fragment is declared.
ptx::Type register_type(ptx::Type element);

/// The registers of an operand: a vector, or one register.
std::vector<Ref> fragment_sources(Decoder& decoder, const ptx::Operand& operand, ptx::Type element);
std::vector<Ref> fragment_destinations(Decoder& decoder, const ptx::Operand& operand, ptx::Type element);

/// .sync.aligned: false if lanes of the warp have yet to arrive (the handler returns Flow::retry).
bool whole_warp_is_here(Warp& warp, const Decoded& d, Mask active);

void register_matrix_multiply();  // mma, wmma.mma
void select_wmma_multiply(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out);
void select_wmma_memory(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out);
void register_matrix_move();  // ldmatrix, stmatrix, movmatrix

}  // namespace gradus::emulator
