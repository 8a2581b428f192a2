// The tables of the hot files elementwise.cpp, elementwise_binary.cpp and elementwise_convert.cpp (see isa.h): rows of contiguous
// elements, and nothing else. Element types, broadcasting and threads are the business of elementwise_dispatch.cpp.
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cpu {

/// y[i] = f(x[i]) for i in [0, n). y may be x.
using UnaryRow = void (*)(std::int64_t n, void* y, const void* x);
/// y[i] = f(x[i]; p, q), or y[i] = f(y[i], x[i]; p, q).
using UnaryRowWith = void (*)(std::int64_t n, void* y, const void* x, double p, double q);
/// y[i] = f(a[i], b[i]); bit k of `repeats` says that operand k is one element, the same for every i.
using BinaryRow = void (*)(std::int64_t n, void* y, const void* a, const void* b, unsigned repeats);
/// y[i] = f(a[i], b[i]; p, q).
using BinaryRowWith = void (*)(std::int64_t n, void* y, const void* a, const void* b, double p, double q);
/// y[i] = c[i] ? a[i] : b[i]; `repeats` as above, c first.
using SelectRow = void (*)(std::int64_t n, void* y, const void* c, const void* a, const void* b, unsigned repeats);
using FillRow = void (*)(std::int64_t n, void* y, const void* value);
using TestRow = bool (*)(std::int64_t n, const void* x);

/// One function per element type: f32, f64, and where they are there i64, u8, bool, bf16.
template <class F, int N> struct ByType {
  F of[N];
  F operator[](DType dtype) const {
    GRADUS_ASSERT(static_cast<int>(dtype) < N);
    return of[static_cast<int>(dtype)];
  }
};

/// One function per element size: 1, 2, 4 and 8 bytes.
template <class F> struct BySize {
  F of[4];
  F operator[](DType dtype) const { return of[size_of(dtype) == 8 ? 3 : size_of(dtype) / 2]; }
};

struct ElementwiseTable {
#define X(name) ByType<UnaryRow, 2> name;
  GRADUS_UNARY_KERNELS(X)
#undef X
#define X(name) ByType<BinaryRow, 2> name;
  GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X
  ByType<UnaryRowWith, 2> affine, clamp, pow_scalar, lerp;
  ByType<BinaryRowWith, 2> add_scaled, clamp_backward;
};

struct BinaryTable {
  ByType<BinaryRow, 3> add, sub, mul, maximum, minimum;
  ByType<BinaryRow, 2> div, pow;
  ByType<BinaryRow, 5> equal, not_equal, less, less_equal;
  BySize<SelectRow> where;
};

struct ConvertTable {
  ByType<UnaryRow, 6> cast[6];  // [to][from]
  ByType<UnaryRow, 5> is_zero;
  ByType<TestRow, 2> all_finite;
  BySize<FillRow> fill;
};

GRADUS_TABLE(ElementwiseTable, elementwise_table)
GRADUS_TABLE(BinaryTable, binary_table)
GRADUS_TABLE(ConvertTable, convert_table)

}  // namespace gradus::inline v0::cpu
