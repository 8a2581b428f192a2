// Rows of y[i] = f(a[i], b[i]), of comparisons and of selection. An operand of one element is read once and repeated.

#include <gradus/kernels/cpu/elementwise_table.h>
#include <gradus/kernels/cpu/math.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

constexpr unsigned kRepeatA = 1, kRepeatB = 2;  // bits of `repeats`

template <class T> struct Binary {
  using V = Vec<T>;
  static V add(V a, V b) { return a + b; }
  static V sub(V a, V b) { return a - b; }
  static V mul(V a, V b) { return a * b; }
  static V div(V a, V b) { return a / b; }
  static V maximum(V a, V b) { return GRADUS_ISA::maximum(a, b); }
  static V minimum(V a, V b) { return GRADUS_ISA::minimum(a, b); }
  static V pow(V a, V b) { return GRADUS_ISA::pow(a, b); }
};

template <class T, Vec<T> (*f)(Vec<T>, Vec<T>)> void binary_row(std::int64_t n, void* y, const void* a, const void* b, unsigned repeats) {
  T* const to = static_cast<T*>(y);
  const T *const p = static_cast<const T*>(a), *const q = static_cast<const T*>(b);
  if (repeats == kRepeatA) {
    const Vec<T> u = *p;
    return map_range(
        0, n, to, [=](Vec<T> v) { return f(u, v); }, q);
  }
  if (repeats == kRepeatB) {
    const Vec<T> v = *q;
    return map_range(
        0, n, to, [=](Vec<T> u) { return f(u, v); }, p);
  }
  map_range(
      0, n, to, [](Vec<T> u, Vec<T> v) { return f(u, v); }, p, q);
}

/// Integers wrap around, as two's complement does.
struct Integer {
  using I = std::int64_t;
  using U = std::uint64_t;
  static I add(I a, I b) { return static_cast<I>(static_cast<U>(a) + static_cast<U>(b)); }
  static I sub(I a, I b) { return static_cast<I>(static_cast<U>(a) - static_cast<U>(b)); }
  static I mul(I a, I b) { return static_cast<I>(static_cast<U>(a) * static_cast<U>(b)); }
  static I maximum(I a, I b) { return a > b ? a : b; }
  static I minimum(I a, I b) { return a < b ? a : b; }
};

/// A row of plain loops, left to the compiler's vectoriser: one for each way to repeat.
template <class To, class From, To (*f)(From, From)>
void loop_row(std::int64_t n, void* y, const void* a, const void* b, unsigned repeats) {
  To* const to = static_cast<To*>(y);
  const From *const p = static_cast<const From*>(a), *const q = static_cast<const From*>(b);
  if (repeats == kRepeatA) {
    const From u = *p;
    for (std::int64_t i = 0; i < n; ++i) to[i] = f(u, q[i]);
  } else if (repeats == kRepeatB) {
    const From v = *q;
    for (std::int64_t i = 0; i < n; ++i) to[i] = f(p[i], v);
  } else {
    for (std::int64_t i = 0; i < n; ++i) to[i] = f(p[i], q[i]);
  }
}

template <class T> struct Compare {
  static bool equal(T a, T b) { return a == b; }
  static bool not_equal(T a, T b) { return a != b; }
  static bool less(T a, T b) { return a < b; }
  static bool less_equal(T a, T b) { return a <= b; }
};

/// Conditions are read as bytes: loops over `bool` are not vectorised.
template <class U, unsigned kRepeats> void select_loop(std::int64_t n, U* y, const std::uint8_t* c, const U* a, const U* b) {
  for (std::int64_t i = 0; i < n; ++i) {
    const U u = a[kRepeats & 2 ? 0 : i], v = b[kRepeats & 4 ? 0 : i];
    y[i] = c[kRepeats & 1 ? 0 : i] != 0 ? u : v;
  }
}

template <class U> void select_row(std::int64_t n, void* y, const void* c, const void* a, const void* b, unsigned repeats) {
  U* const to = static_cast<U*>(y);
  const std::uint8_t* const condition = static_cast<const std::uint8_t*>(c);
  const U *const p = static_cast<const U*>(a), *const q = static_cast<const U*>(b);
  switch (repeats) {
    case 0: return select_loop<U, 0>(n, to, condition, p, q);
    case 1: return select_loop<U, 1>(n, to, condition, p, q);
    case 2: return select_loop<U, 2>(n, to, condition, p, q);
    case 3: return select_loop<U, 3>(n, to, condition, p, q);
    case 4: return select_loop<U, 4>(n, to, condition, p, q);
    case 5: return select_loop<U, 5>(n, to, condition, p, q);
    case 6: return select_loop<U, 6>(n, to, condition, p, q);
    default: return select_loop<U, 7>(n, to, condition, p, q);
  }
}

}  // namespace

#define FLOATING(name) binary_row<float, Binary<float>::name>, binary_row<double, Binary<double>::name>
#define NUMBERS(name)                                                       \
  {                                                                         \
    { FLOATING(name), loop_row<std::int64_t, std::int64_t, Integer::name> } \
  }
#define COMPARED(T, name) loop_row<bool, T, Compare<T>::name>
#define COMPARISON(name)                                                                                                                \
  {                                                                                                                                     \
    { COMPARED(float, name), COMPARED(double, name), COMPARED(std::int64_t, name), COMPARED(std::uint8_t, name), COMPARED(bool, name) } \
  }

const BinaryTable binary_table = {
    NUMBERS(add),           NUMBERS(sub),
    NUMBERS(mul),           NUMBERS(maximum),
    NUMBERS(minimum),       {{FLOATING(div)}},
    {{FLOATING(pow)}},      COMPARISON(equal),
    COMPARISON(not_equal),  COMPARISON(less),
    COMPARISON(less_equal), {{select_row<std::uint8_t>, select_row<std::uint16_t>, select_row<std::uint32_t>, select_row<std::uint64_t>}},
};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
