// mma.sync and wmma.mma: d = a * b + c. Products and sums in float (double, 32-bit integers), in the order of k; the hardware's own
// internal rounding is not imitated.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <gradus/kernels/emulator/exec/half_bits.h>
#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/matrix.h>
#include <gradus/kernels/emulator/exec/small_float.h>

namespace gradus::emulator {
namespace {

constexpr std::size_t kLargest = 32 * 32;  // elements of a matrix, with room: 16 x 64, 32 x 16, 8 x 32 (words for .b1)

struct Piece {
  MatrixFragment fragment;
  std::vector<Ref> registers;
};
struct Multiply {
  MatrixShape shape;
  Piece a, b, c, d;
  ptx::Type a_type = ptx::Type::f16, b_type = ptx::Type::f16, c_type = ptx::Type::f32, d_type = ptx::Type::f32;
  bool saturate = false, bits_and = false;
};

// How elements lie in a register: value(word, part). Storage types of registers: std::uint32_t, or double.
struct HalfElement {
  using Word = std::uint32_t;
  static float value(Word w, int part) { return float_of_half(static_cast<std::uint16_t>(w >> (16 * part))); }
};
struct BfloatElement {
  using Word = std::uint32_t;
  static float value(Word w, int part) { return float_of_bfloat(static_cast<std::uint16_t>(w >> (16 * part))); }
};
struct Tf32Element {
  using Word = std::uint32_t;
  static float value(Word w, int) { return std::bit_cast<float>(w & 0xFFFFE000u); }  // the low 13 bits are not looked at
};
struct FloatElement {
  using Word = std::uint32_t;
  static float value(Word w, int) { return std::bit_cast<float>(w); }
};
template <bool kE4M3> struct Fp8Element {
  using Word = std::uint32_t;
  static float value(Word w, int part) { return float_of_fp8<kE4M3>(static_cast<std::uint8_t>(w >> (8 * part))); }
};
struct DoubleElement {
  using Word = double;
  static double value(Word w, int) { return w; }
};
template <int kBits, bool kSigned> struct IntegerElement {
  using Word = std::uint32_t;
  static std::int32_t value(Word w, int part) {
    const std::uint32_t up = w << (32 - kBits - kBits * part);
    return kSigned ? static_cast<std::int32_t>(up) >> (32 - kBits) : static_cast<std::int32_t>(up >> (32 - kBits));
  }
};
struct WordElement {
  using Word = std::uint32_t;
  static std::int32_t value(Word w, int) { return static_cast<std::int32_t>(w); }
};

template <class Element, class T> void gather(const Warp& warp, const Piece& piece, T* dense) {
  const int parts = piece.fragment.per_register;
  const std::uint16_t* place = piece.fragment.place.data();
  for (const Ref ref : piece.registers) {
    const auto* words = warp.lanes_of<typename Element::Word>(ref);
    alignas(64) T values[8][kLanes];
    for (int part = 0; part < parts; ++part) {
      for (int l = 0; l < kLanes; ++l) values[part][l] = Element::value(words[l], part);
    }
    for (int l = 0; l < kLanes; ++l) {
      for (int part = 0; part < parts; ++part) dense[*place++] = values[part][l];
    }
  }
}

template <class T> void gather_float(const Warp& warp, const Piece& piece, ptx::Type type, T* dense) {
  switch (type) {
    case ptx::Type::f16: return gather<HalfElement>(warp, piece, dense);
    case ptx::Type::bf16: return gather<BfloatElement>(warp, piece, dense);
    case ptx::Type::tf32: return gather<Tf32Element>(warp, piece, dense);
    case ptx::Type::e4m3: return gather<Fp8Element<true>>(warp, piece, dense);
    case ptx::Type::e5m2: return gather<Fp8Element<false>>(warp, piece, dense);
    default: return gather<FloatElement>(warp, piece, dense);
  }
}
void gather_integer(const Warp& warp, const Piece& piece, ptx::Type type, std::int32_t* dense) {
  switch (type) {
    case ptx::Type::s8: return gather<IntegerElement<8, true>>(warp, piece, dense);
    case ptx::Type::u8: return gather<IntegerElement<8, false>>(warp, piece, dense);
    case ptx::Type::s4: return gather<IntegerElement<4, true>>(warp, piece, dense);
    case ptx::Type::u4: return gather<IntegerElement<4, false>>(warp, piece, dense);
    default: return gather<WordElement>(warp, piece, dense);
  }
}

/// Results to the active lanes' registers.
template <class Word, class T> void scatter(Warp& warp, const Piece& piece, Mask active, const T* dense) {
  const std::uint16_t* place = piece.fragment.place.data();
  for (const Ref ref : piece.registers) {
    map_lanes(warp.lanes_of<Word>(ref), active, [=](int l) { return static_cast<Word>(dense[place[l]]); });
    place += kLanes;
  }
}
void scatter_half(Warp& warp, const Piece& piece, Mask active, const float* dense) {
  const std::uint16_t* place = piece.fragment.place.data();
  for (const Ref ref : piece.registers) {
    map_lanes(warp.lanes_of<std::uint32_t>(ref), active, [=](int l) {
      return half_of_float(dense[place[2 * l]]) | static_cast<std::uint32_t>(half_of_float(dense[place[2 * l + 1]])) << 16;
    });
    place += 2 * kLanes;
  }
}

Flow run_float(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const Multiply& x = *static_cast<const Multiply*>(d.extra);
  alignas(64) float a[kLargest], b[kLargest], c[kLargest];
  gather_float(warp, x.a, x.a_type, a);
  gather_float(warp, x.b, x.b_type, b);
  gather_float(warp, x.c, x.c_type, c);
  const int n = x.shape.n, k = x.shape.k;
  for (int i = 0; i < x.shape.m; ++i) {
    for (int p = 0; p < k; ++p) {
      const float factor = a[i * k + p];
      for (int j = 0; j < n; ++j) c[i * n + j] += factor * b[p * n + j];
    }
  }
  if (x.d_type == ptx::Type::f16) scatter_half(warp, x.d, active, c);
  else scatter<float>(warp, x.d, active, c);
  return Flow::next;
}

Flow run_double(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const Multiply& x = *static_cast<const Multiply*>(d.extra);
  alignas(64) double a[kLargest], b[kLargest], c[kLargest];
  gather<DoubleElement>(warp, x.a, a);
  gather<DoubleElement>(warp, x.b, b);
  gather<DoubleElement>(warp, x.c, c);
  const int n = x.shape.n, k = x.shape.k;
  for (int i = 0; i < x.shape.m; ++i) {
    for (int j = 0; j < n; ++j) {
      for (int p = 0; p < k; ++p) c[i * n + j] = std::fma(a[i * k + p], b[p * n + j], c[i * n + j]);
    }
  }
  scatter<double>(warp, x.d, active, c);
  return Flow::next;
}

std::int64_t bit_product(std::int32_t a, std::int32_t b, bool bits_and) {
  const auto x = static_cast<std::uint32_t>(a), y = static_cast<std::uint32_t>(b);
  return std::popcount(bits_and ? x & y : x ^ y);
}

/// Integers; of .b1 the elements are words and k counts them.
Flow run_integer(Warp& warp, const Decoded& d, Mask active) {
  if (!whole_warp_is_here(warp, d, active)) return Flow::retry;
  const Multiply& x = *static_cast<const Multiply*>(d.extra);
  alignas(64) std::int32_t a[kLargest], b[kLargest], c[kLargest];
  gather_integer(warp, x.a, x.a_type, a);
  gather_integer(warp, x.b, x.b_type, b);
  gather_integer(warp, x.c, ptx::Type::s32, c);
  const bool is_bits = x.a_type == ptx::Type::b1;
  const int n = x.shape.n, k = x.shape.k;
  for (int i = 0; i < x.shape.m; ++i) {
    for (int j = 0; j < n; ++j) {
      std::int64_t sum = c[i * n + j];
      for (int p = 0; p < k; ++p) {
        const std::int32_t f = a[i * k + p], g = b[p * n + j];
        sum += is_bits ? bit_product(f, g, x.bits_and) : std::int64_t{f} * g;
      }
      if (x.saturate)
        sum = std::clamp<std::int64_t>(sum, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max());
      c[i * n + j] = static_cast<std::int32_t>(sum);
    }
  }
  scatter<std::int32_t>(warp, x.d, active, c);
  return Flow::next;
}

bool is_bits_or_integer(ptx::Type t) {
  return t == ptx::Type::s8 || t == ptx::Type::u8 || t == ptx::Type::s4 || t == ptx::Type::u4 || t == ptx::Type::b1;
}
bool is_floating_factor(ptx::Type t) {
  return t == ptx::Type::f16 || t == ptx::Type::bf16 || t == ptx::Type::tf32 || t == ptx::Type::e4m3 || t == ptx::Type::e5m2;
}

Handler handler_of(const Multiply& x) {
  const auto is_sum = [](ptx::Type t) { return t == ptx::Type::f32 || t == ptx::Type::f16; };
  if (is_floating_factor(x.a_type) && is_floating_factor(x.b_type) && is_sum(x.c_type) && is_sum(x.d_type)) return run_float;
  if (x.a_type == ptx::Type::f64 && x.b_type == x.a_type && x.c_type == x.a_type && x.d_type == x.a_type) return run_double;
  const bool integers =
      is_bits_or_integer(x.a_type) && is_bits_or_integer(x.b_type) && (x.a_type == ptx::Type::b1) == (x.b_type == ptx::Type::b1);
  if (integers && x.c_type == ptx::Type::s32 && x.d_type == ptx::Type::s32) return run_integer;
  return nullptr;
}

/// Types in the order d, a, b, c; wmma on f16 names d and c only.
void read_types(Decoder& decoder, const ptx::Instruction& i, Multiply& x) {
  if (i.type(3) != ptx::Type::none) {
    x.d_type = i.type(3);
    x.a_type = i.type(2);
    x.b_type = i.type(1);
    x.c_type = i.type(0);
  } else if (i.mnemonic == "wmma" && i.type(1) != ptx::Type::none && i.type(2) == ptx::Type::none) {
    x.d_type = i.type(1);
    x.c_type = i.type(0);
  } else {
    decoder.unsupported("expected the types of d, a, b and c");
  }
}

void bind_registers(Decoder& decoder, const ptx::Instruction& i, Multiply& x) {
  expect_operands(decoder, i, 4);
  x.d.registers = fragment_destinations(decoder, i.operands[0], x.d_type);
  x.a.registers = fragment_sources(decoder, i.operands[1], x.a_type);
  x.b.registers = fragment_sources(decoder, i.operands[2], x.b_type);
  x.c.registers = fragment_sources(decoder, i.operands[3], x.c_type);
}

/// .b1 is computed by words.
MatrixShape in_elements(MatrixShape shape, ptx::Type type) {
  if (type == ptx::Type::b1) shape.k /= 32;
  return shape;
}

/// Every element of the matrix has a register, and every register is there.
void check_piece(Decoder& decoder, const Piece& piece, int elements) {
  const int have = static_cast<int>(piece.registers.size()), want = piece.fragment.registers;
  if (have != want) decoder.unsupported("an operand has " + std::to_string(have) + " registers instead of " + std::to_string(want));
  bool held[kLargest] = {};
  for (const std::uint16_t place : piece.fragment.place) {
    if (place >= kLargest || place >= elements) decoder.unsupported("unknown shape");
    held[place] = true;
  }
  if (std::count(std::begin(held), std::end(held), true) != elements) decoder.unsupported("an operand has too few registers");
}

void finish(Decoder& decoder, Multiply x, Decoded& out) {
  check_piece(decoder, x.a, x.shape.m * x.shape.k);
  check_piece(decoder, x.b, x.shape.k * x.shape.n);
  check_piece(decoder, x.c, x.shape.m * x.shape.n);
  check_piece(decoder, x.d, x.shape.m * x.shape.n);
  out.run = handler_of(x);
  const bool floating = out.run == run_float || out.run == run_double;
  out.instruction_class = floating ? kFloat : kInteger;
  if (floating) out.flops = static_cast<std::uint16_t>(2 * x.shape.m * x.shape.n * x.shape.k / kLanes);
  out.extra = decoder.keep(std::move(x));
}

void select_mma(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  Multiply x;
  if (i.has("sp") || i.has("sp::ordered_metadata")) decoder.unsupported("sparse matrices are outside this emulator");
  allow_modifiers(decoder, i,
                  {"sync",    "aligned", "row",      "col",     "satfinite", "xor",      "and",      "popc",     "rn",        "m8n8k4",
                   "m8n8k16", "m8n8k32", "m8n8k128", "m16n8k4", "m16n8k8",   "m16n8k16", "m16n8k32", "m16n8k64", "m16n8k128", "m16n8k256"});
  read_types(decoder, i, x);
  x.shape = in_elements(shape_of(decoder, i), x.a_type);
  if (i.has("m8n8k4") && x.a_type == ptx::Type::f16) decoder.unsupported("mma.m8n8k4 on f16 is Volta's; use m16n8k8 or m16n8k16");
  x.saturate = i.has("satfinite");
  x.bits_and = i.has("and");
  bind_registers(decoder, i, x);
  x.a.fragment = mma_fragment(Matrix::a, x.shape, x.a_type);
  x.b.fragment = mma_fragment(Matrix::b, x.shape, x.b_type);
  x.c.fragment = mma_fragment(Matrix::c, x.shape, x.c_type);
  x.d.fragment = mma_fragment(Matrix::c, x.shape, x.d_type);
  finish(decoder, std::move(x), out);
}

}  // namespace

void select_wmma_multiply(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  Multiply x;
  allow_modifiers(decoder, i,
                  {"mma", "sync", "aligned", "row", "col", "satfinite", "xor", "and", "popc", "rn", "m16n16k16", "m8n32k16", "m32n8k16",
                   "m16n16k8", "m8n8k4", "m8n8k32", "m8n8k128"});
  read_types(decoder, i, x);
  x.shape = in_elements(shape_of(decoder, i), x.a_type);
  x.saturate = i.has("satfinite");
  x.bits_and = i.has("and");
  bind_registers(decoder, i, x);
  std::vector<bool> row_major;
  for (const std::string& m : i.modifiers) {
    if (m == "row" || m == "col") row_major.push_back(m == "row");
  }
  if (row_major.size() != 2) decoder.unsupported("expected the layouts of a and b");
  x.a.fragment = wmma_fragment(Matrix::a, x.shape, x.a_type, row_major[0], static_cast<int>(x.a.registers.size()));
  x.b.fragment = wmma_fragment(Matrix::b, x.shape, x.b_type, row_major[1], static_cast<int>(x.b.registers.size()));
  x.c.fragment = wmma_fragment(Matrix::c, x.shape, x.c_type, true, static_cast<int>(x.c.registers.size()));
  x.d.fragment = wmma_fragment(Matrix::c, x.shape, x.d_type, true, static_cast<int>(x.d.registers.size()));
  finish(decoder, std::move(x), out);
}

void register_matrix_multiply() { add_selector("mma", select_mma); }

}  // namespace gradus::emulator
