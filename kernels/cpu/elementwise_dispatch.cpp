// The public elementwise kernels: element type, broadcasting, threads. What is done to an element is in the tables' hot files.

#include <atomic>
#include <cstring>

#include <gradus/kernels/cpu/broadcast.h>
#include <gradus/kernels/cpu/elementwise_table.h>

namespace gradus::inline v0::cpu {
namespace {

char* at(const Array& y, std::int64_t i) { return static_cast<char*>(y.data) + i * static_cast<std::int64_t>(size_of(y.dtype)); }
const char* at(const ConstArray& x, std::int64_t i) {
  return static_cast<const char*>(x.data) + i * static_cast<std::int64_t>(size_of(x.dtype));
}

// By reference: a copy would read in one piece what the caller has just stored in several, and wait for it.

void unary(UnaryRow row, const Array& y, const ConstArray& x) {
  GRADUS_ASSERT(x.elements() == y.elements());
  in_chunks(y.elements(), [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), at(x, i)); });
}

void unary(UnaryRowWith row, const Array& y, const ConstArray& x, double p, double q) {
  GRADUS_ASSERT(x.elements() == y.elements());
  in_chunks(y.elements(), [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), at(x, i), p, q); });
}

void binary(BinaryRowWith row, const Array& y, const ConstArray& a, const ConstArray& b, double p, double q) {
  GRADUS_ASSERT(a.elements() == y.elements() && b.elements() == y.elements());
  in_chunks(y.elements(), [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), at(a, i), at(b, i), p, q); });
}

/// Whether `last` is the shape of the last axes of y: a bias beside a batch.
bool ends_in(const Shape& y, const Shape& last) {
  const int outer = y.rank() - last.rank();
  for (int i = 0; i < last.rank(); ++i)
    if (outer < 0 || last[i] != y[outer + i]) return false;
  return true;
}

/// With broadcasting. Operands with as many elements as y have its shape, up to axes of extent 1.
void binary(BinaryRow row, const Array& y, const ConstArray& a, const ConstArray& b) {
  const std::int64_t elements = y.elements(), of_a = a.elements(), of_b = b.elements();
  if (of_a == elements && of_b == elements)
    return in_chunks(elements, [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), at(a, i), at(b, i), 0); });
  if (of_a == elements && of_b == 1)
    return in_chunks(elements, [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), at(a, i), b.data, 2); });
  if (of_a == 1 && of_b == elements)
    return in_chunks(elements, [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), a.data, at(b, i), 1); });
  if (of_a == elements && elements <= kElementChunk && elements > 0 && ends_in(*y.shape, *b.shape) &&
      worth_a_call_each(elements / of_b, of_b)) {
    for (std::int64_t i = 0; i < elements; i += of_b) row(of_b, at(y, i), at(a, i), b.data, 0);
    return;
  }
  const ConstArray operands[] = {a, b};
  for_each_row(*y.shape, operands, 2, [&](std::int64_t i, std::int64_t n, const RowOperands& x, unsigned repeats) {
    row(n, at(y, i), x.data[0], x.data[1], repeats);
  });
}

/// `value` as one element of `dtype`.
struct Element {
  alignas(8) unsigned char bytes[8] = {};

  Element(double value, DType dtype) {
    const Shape one;
    cpu::cast(Array{bytes, &one, dtype}, ConstArray(&value, &one, DType::f64));
  }
};

}  // namespace

#define X(name) \
  void name(Array y, ConstArray x) { unary(elementwise_table().name[y.dtype], y, x); }
GRADUS_UNARY_KERNELS(X)
#undef X

#define X(name) \
  void name(Array dx, ConstArray dy, ConstArray saved) { binary(elementwise_table().name[dx.dtype], dx, dy, saved); }
GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X

#define X(name) \
  void name(Array y, ConstArray a, ConstArray b) { binary(binary_table().name[y.dtype], y, a, b); }
GRADUS_BINARY_KERNELS(X)
#undef X

void equal(Array y, ConstArray a, ConstArray b) { binary(binary_table().equal[a.dtype], y, a, b); }
void not_equal(Array y, ConstArray a, ConstArray b) { binary(binary_table().not_equal[a.dtype], y, a, b); }
void less(Array y, ConstArray a, ConstArray b) { binary(binary_table().less[a.dtype], y, a, b); }
void less_equal(Array y, ConstArray a, ConstArray b) { binary(binary_table().less_equal[a.dtype], y, a, b); }
void greater(Array y, ConstArray a, ConstArray b) { less(y, b, a); }
void greater_equal(Array y, ConstArray a, ConstArray b) { less_equal(y, b, a); }

void affine(Array y, ConstArray x, double scale, double shift) { unary(elementwise_table().affine[y.dtype], y, x, scale, shift); }
void clamp(Array y, ConstArray x, double low, double high) { unary(elementwise_table().clamp[y.dtype], y, x, low, high); }
void pow_scalar(Array y, ConstArray x, double exponent) { unary(elementwise_table().pow_scalar[y.dtype], y, x, exponent, 0); }
void lerp(Array y, ConstArray x, double weight) { unary(elementwise_table().lerp[y.dtype], y, x, weight, 0); }
void clamp_backward(Array dx, ConstArray dy, ConstArray x, double low, double high) {
  binary(elementwise_table().clamp_backward[dx.dtype], dx, dy, x, low, high);
}
void add_scaled(Array y, ConstArray a, ConstArray b, double scale) { binary(elementwise_table().add_scaled[y.dtype], y, a, b, scale, 0); }

void where(Array y, ConstArray condition, ConstArray a, ConstArray b) {
  const SelectRow row = binary_table().where[y.dtype];
  const std::int64_t elements = y.elements();
  if (condition.elements() == elements && a.elements() == elements && b.elements() == elements)
    return in_chunks(elements, [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), at(condition, i), at(a, i), at(b, i), 0); });
  const ConstArray operands[] = {condition, a, b};
  for_each_row(*y.shape, operands, 3, [&](std::int64_t i, std::int64_t n, const RowOperands& x, unsigned repeats) {
    row(n, at(y, i), x.data[0], x.data[1], x.data[2], repeats);
  });
}

void logical_not(Array y, ConstArray x) { unary(convert_table().is_zero[x.dtype], y, x); }
void cast(Array y, ConstArray x) {
  if (x.dtype == y.dtype) return copy(y, x);
  unary(convert_table().cast[static_cast<int>(y.dtype)][x.dtype], y, x);
}

void fill(Array y, double value) {
  const Element element(value, y.dtype);
  const FillRow row = convert_table().fill[y.dtype];
  in_chunks(y.elements(), [&](std::int64_t i, std::int64_t n) { row(n, at(y, i), element.bytes); });
}

void copy(Array y, ConstArray x) {
  GRADUS_ASSERT(x.dtype == y.dtype && x.elements() == y.elements());
  in_chunks(y.elements(), [&](std::int64_t i, std::int64_t n) {
    if (n > 0) std::memmove(at(y, i), at(x, i), static_cast<std::size_t>(n) * size_of(y.dtype));
  });
}

bool all_finite(ConstArray x) {
  const TestRow row = convert_table().all_finite[x.dtype];
  std::atomic<bool> finite{true};
  in_chunks(x.elements(), [&](std::int64_t i, std::int64_t n) {
    if (finite.load(std::memory_order_relaxed) && !row(n, at(x, i))) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load(std::memory_order_relaxed);
}

}  // namespace gradus::inline v0::cpu
