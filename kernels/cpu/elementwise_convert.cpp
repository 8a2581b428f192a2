// Rows of conversions between element types, of constants, and the tests for zero and for finite values.
//
// A floating value becomes an integer by truncation and saturation, NaN becomes 0. Rounding to f32, f64 and bf16 is to nearest even, once.

#include <gradus/kernels/cpu/elementwise_table.h>
#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

enum class Bf16 : std::uint16_t {};

float widened(Bf16 x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x) << 16); }

Bf16 narrowed(float x) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x);
  if (x != x) return static_cast<Bf16>(bits >> 16 | 0x40);  // quiet, so that dropping the low half cannot make it infinite
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/// x in f32, rounded to odd: a second rounding to bf16 then gives what one rounding would.
float rounded_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double back = nearest;
  if (back == x || x != x) return nearest;
  std::uint32_t bits = __builtin_bit_cast(std::uint32_t, nearest);
  if (__builtin_fabs(back) > __builtin_fabs(x)) --bits;
  return __builtin_bit_cast(float, bits | 1);
}

template <class To, class From> constexpr bool kSame = std::is_same_v<To, From>;

template <class I, class From> I to_integer(From x, From beyond_low, From beyond_high, I low, I high) {
  if (x != x) return 0;
  return x <= beyond_low ? low : x >= beyond_high ? high : static_cast<I>(x);
}

template <class To, class From> To converted(From x) {
  if constexpr (kSame<From, Bf16>) {
    if constexpr (kSame<To, Bf16>) return x;
    else return converted<To>(widened(x));
  } else if constexpr (kSame<To, Bf16>) {
    if constexpr (kSame<From, float>) return narrowed(x);
    else return narrowed(rounded_to_odd(static_cast<double>(x)));
  } else if constexpr (kSame<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && kSame<To, std::int64_t>) {
    return to_integer<std::int64_t>(x, From(-0x1p63), From(0x1p63), INT64_MIN, INT64_MAX);
  } else if constexpr (std::is_floating_point_v<From> && kSame<To, std::uint8_t>) {
    return static_cast<std::uint8_t>(to_integer<int>(x, From(0), From(255), 0, 255));
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From> void cast_row(std::int64_t n, void* y, const void* x) {
  To* const to = static_cast<To*>(y);
  const From* const from = static_cast<const From*>(x);
  for (std::int64_t i = 0; i < n; ++i) to[i] = converted<To>(from[i]);
}

template <class T> void is_zero_row(std::int64_t n, void* y, const void* x) {
  bool* const to = static_cast<bool*>(y);
  const T* const from = static_cast<const T*>(x);
  for (std::int64_t i = 0; i < n; ++i) to[i] = from[i] == T(0);
}

template <class U> void fill_row(std::int64_t n, void* y, const void* value) {
  U* const to = static_cast<U*>(y);
  const U v = *static_cast<const U*>(value);
  for (std::int64_t i = 0; i < n; ++i) to[i] = v;
}

/// x - x is 0 for a finite x, NaN otherwise.
template <class T> bool all_finite_row(std::int64_t n, const void* x) {
  const T* const from = static_cast<const T*>(x);
  Vec<T> sum = T(0);
  std::int64_t i = 0;
  for (; i + Vec<T>::W <= n; i += Vec<T>::W) sum = sum + (Vec<T>::load(from + i) - Vec<T>::load(from + i));
  if (i < n) {
    const Vec<T> last = load_partial(from + i, n - i);
    sum = sum + (last - last);
  }
  return sum_lanes(sum) == T(0);
}

}  // namespace

// A bool is read as the byte 0 or 1 that it is: loops over `bool` are not vectorised.
#define CASTS(To)                                                                                                                    \
  {                                                                                                                                  \
    {                                                                                                                                \
      cast_row<To, float>, cast_row<To, double>, cast_row<To, std::int64_t>, cast_row<To, std::uint8_t>, cast_row<To, std::uint8_t>, \
          cast_row<To, Bf16>                                                                                                         \
    }                                                                                                                                \
  }

const ConvertTable convert_table = {
    {CASTS(float), CASTS(double), CASTS(std::int64_t), CASTS(std::uint8_t), CASTS(bool), CASTS(Bf16)},
    {{is_zero_row<float>, is_zero_row<double>, is_zero_row<std::int64_t>, is_zero_row<std::uint8_t>, is_zero_row<std::uint8_t>}},
    {{all_finite_row<float>, all_finite_row<double>}},
    {{fill_row<std::uint8_t>, fill_row<std::uint16_t>, fill_row<std::uint32_t>, fill_row<std::uint64_t>}},
};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
