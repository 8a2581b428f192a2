// Conversions between element types, constants, copies, and the test for finite values.
//
// A floating value becomes an integer by truncation and saturation, NaN becomes 0. Rounding to f32, f64 and bf16 is to nearest even, once.

#include <type_traits>

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/cuda/partials.cuh>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cuda {
namespace {

enum class Bf16 : std::uint16_t {};
enum class Bool : std::uint8_t {};

// ---- one element, on either side -------------------------------------------------------------------------------------------------------

__host__ __device__ inline float widened(Bf16 x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x) << 16); }

__host__ __device__ inline Bf16 narrowed(float x) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x);
  if (x != x) return static_cast<Bf16>(bits >> 16 | 0x40);  // quiet, so that dropping the low half cannot make it infinite
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/// x in f32, rounded to odd: a second rounding to bf16 then gives what one rounding would.
__host__ __device__ inline float rounded_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double back = nearest;
  if (back == x || x != x) return nearest;
  std::uint32_t bits = __builtin_bit_cast(std::uint32_t, nearest);
  if ((back < 0 ? -back : back) > (x < 0 ? -x : x)) --bits;
  return __builtin_bit_cast(float, bits | 1);
}

template <class I, class From> __host__ __device__ I to_integer(From x, From beyond_low, From beyond_high, I low, I high) {
  if (x != x) return 0;
  return x <= beyond_low ? low : x >= beyond_high ? high : static_cast<I>(x);
}

template <class To, class From> __host__ __device__ To converted(From x) {
  if constexpr (std::is_same_v<From, Bf16>) {
    if constexpr (std::is_same_v<To, Bf16>) return x;
    else return converted<To>(widened(x));
  } else if constexpr (std::is_same_v<To, Bf16>) {
    if constexpr (std::is_same_v<From, float>) return narrowed(x);
    else return narrowed(rounded_to_odd(static_cast<double>(x)));
  } else if constexpr (std::is_same_v<To, Bool>) {
    return static_cast<Bool>(x != From(0));
  } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, std::int64_t>) {
    return to_integer<std::int64_t>(x, From(-0x1p63), From(0x1p63), INT64_MIN, INT64_MAX);
  } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, std::uint8_t>) {
    return static_cast<std::uint8_t>(to_integer<int>(x, From(0), From(255), 0, 255));
  } else {
    return static_cast<To>(x);
  }
}
template <class To> struct ConvertedTo {
  template <class From> __device__ To operator()(From x) const { return converted<To>(x); }
};

/// Calls f with a value of the type that holds an element; a bool to be read is a byte, 0 or 1.
template <class F> void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f32: return f(float());
    case DType::f64: return f(double());
    case DType::i64: return f(std::int64_t());
    case DType::u8: return f(std::uint8_t());
    case DType::boolean: return f(Bool());
    case DType::bf16: return f(Bf16());
  }
}

// ---- constants -------------------------------------------------------------------------------------------------------------------------

template <class U> struct Constant {
  U value;
  __device__ U operator()() const { return value; }
};

// ---- all_finite ------------------------------------------------------------------------------------------------------------------------

template <class T> __device__ inline bool is_finite(T x) { return x - x == T(0); }

constexpr unsigned kFiniteBlocks = 1024;  // stride over longer arrays: 8 blocks an SM on the largest devices

/// Grid: up to 1024 blocks of 256 that stride over the packs. A thread: packs, then single elements. Moves x once. *found becomes 1 where
/// something is not finite.
template <class T> __global__ void __launch_bounds__(kElementThreads) non_finite_kernel(unsigned* found, Split split, const T* x) {
  constexpr int kPack = pack_of<T>();
  const std::int64_t threads = split.threads(kPack), step = static_cast<std::int64_t>(gridDim.x) * kElementThreads;
  bool finite = true;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kElementThreads + threadIdx.x; i < threads; i += step) {
    if (i < split.packs) {
      const Elements<T, kPack> v = load<kPack>(x + i * kPack);
#pragma unroll
      for (int k = 0; k < kPack; ++k) finite = finite && is_finite(v.at[k]);
    } else {
      finite = finite && is_finite(x[split.single(i, kPack)]);
    }
  }
  if (__syncthreads_or(!finite) && threadIdx.x == 0) atomicOr(found, 1u);
}

}  // namespace

void cast(Array y, ConstArray x) {
  if (x.dtype == y.dtype) return copy(y, x);
  GRADUS_ASSERT(x.elements() == y.elements());
  with_type(y.dtype, [&](auto to) {
    with_type(x.dtype == DType::boolean ? DType::u8 : x.dtype, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      if constexpr (!std::is_same_v<From, Bool>)
        map("cast", y.elements(), ConvertedTo<To>(), static_cast<To*>(y.data), static_cast<const From*>(x.data));
    });
  });
}

void fill(Array y, double value) {
  with_type(y.dtype, [&](auto to) {
    using To = decltype(to);
    map("fill", y.elements(), Constant<To>{converted<To>(value)}, static_cast<To*>(y.data));
  });
}

void copy(Array y, ConstArray x) {
  GRADUS_ASSERT(x.dtype == y.dtype && x.elements() == y.elements());
  if (y.elements() == 0 || y.data == x.data) return;
  copy_within(y.data, x.data, static_cast<std::size_t>(y.elements()) * size_of(y.dtype));
}

/// Waits for the device.
bool all_finite(ConstArray x) {
  if (x.elements() == 0) return true;
  auto* const found = static_cast<unsigned*>(partials(sizeof(unsigned)));
  fill_bytes(found, 0, sizeof(unsigned));
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Split split(x.elements(), pack_of<T>(), {{x.data, sizeof(T)}});
    const unsigned blocks = blocks_for(split.threads(pack_of<T>()), kElementThreads);
    launch("all_finite", non_finite_kernel<T>, blocks < kFiniteBlocks ? blocks : kFiniteBlocks, kElementThreads, 0, found, split,
           x.as<T>() + split.head);
  });
  unsigned any = 0;
  copy_to_host(&any, found, sizeof any);
  return any == 0;
}

}  // namespace gradus::inline v0::cuda
