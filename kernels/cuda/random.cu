// Draws: each element is one function of (key, row id, element within the row), the same bits as on the CPU (kernels/random_math.h).
//
// A thread draws the elements of one 16-byte access: a Philox block, the four elements 4 q .. 4 q + 3 of a row, or half a block of f64.
// Where rows are not multiples of that, or an array is not aligned to it, it stores them one by one.

#include <cmath>

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/random.h>
#include <gradus/kernels/random_math.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kDrawThreads = 256;

// ---- what is drawn: numbers from the words of a block ----------------------------------------------------------------------------------

/// What a thread draws: elements kEach part .. of row `row`.
template <class T> inline constexpr int kEach = sizeof(T) == sizeof(double) ? 2 : 4;
struct Spot {
  std::int64_t part, row;
};

/// The words that kEach elements of T are made from.
template <class T> struct Words;
template <> struct Words<float> {
  std::uint32_t word[4];
  __device__ Words(Key key, Spot spot) {
    const PhiloxBlock b = philox_block(key, static_cast<std::uint32_t>(spot.part), spot.row);
#pragma unroll
    for (int k = 0; k < 4; ++k) word[k] = b.word[k];
  }
};
/// Half a block. An f64 appends the same word of the stream whose top bit is flipped.
template <> struct Words<double> {
  std::uint64_t word[2];
  __device__ Words(Key key, Spot spot) {
    const auto quad = static_cast<std::uint32_t>(spot.part / 2);
    const bool second = spot.part % 2 != 0;
    const PhiloxBlock high = philox_block(key, quad, spot.row), low = philox_block({key.seed, key.stream ^ 0x80000000u}, quad, spot.row);
#pragma unroll
    for (int k = 0; k < 2; ++k)
      word[k] = std::uint64_t{second ? high.word[2 + k] : high.word[k]} << 32 | (second ? low.word[2 + k] : low.word[k]);
  }
};

template <class T> struct Uniform {
  using Out = T;
  UniformRange<T> range;
  __device__ Elements<T, kEach<T>> operator()(Key key, Spot spot) const {
    const Words<T> w(key, spot);
    Elements<T, kEach<T>> y;
#pragma unroll
    for (int k = 0; k < kEach<T>; ++k) y.at[k] = uniform_of<ScalarLanes<T>>(w.word[k], range);
    return y;
  }
};

template <class T> struct Normal {
  using Out = T;
  T mean, stddev;
  __device__ Elements<T, kEach<T>> operator()(Key key, Spot spot) const {
    const Words<T> w(key, spot);
    Elements<T, kEach<T>> z;
#pragma unroll
    for (int k = 0; k < kEach<T>; k += 2) {
      box_muller<ScalarLanes<T>>(w.word[k], w.word[k + 1], &z.at[k], &z.at[k + 1]);
      z.at[k] = multiply_add(z.at[k], stddev, mean);
      z.at[k + 1] = multiply_add(z.at[k + 1], stddev, mean);
    }
    return z;
  }
};

/// True where word <= last.
struct Bernoulli {
  using Out = std::uint8_t;
  std::uint32_t last;
  __device__ Elements<std::uint8_t, 4> operator()(Key key, Spot spot) const {
    const PhiloxBlock b = philox_block(key, static_cast<std::uint32_t>(spot.part), spot.row);
    Elements<std::uint8_t, 4> y;
#pragma unroll
    for (int k = 0; k < 4; ++k) y.at[k] = b.word[k] <= last;
    return y;
  }
};

/// The factors of dropout: keep / (1 - p). One mask for f32 and f64.
template <class T> struct Factors {
  T scale;
  Bernoulli kept;
  __device__ Elements<T, kEach<T>> operator()(Key key, Spot spot) const {
    constexpr int kParts = 4 / kEach<T>;
    const Elements<std::uint8_t, 4> keep = kept(key, {spot.part / kParts, spot.row});
    const bool second = spot.part % kParts != 0;
    Elements<T, kEach<T>> factor;
#pragma unroll
    for (int k = 0; k < kEach<T>; ++k) factor.at[k] = (second ? keep.at[(k + 2) % 4] : keep.at[k]) ? scale : T(0);
    return factor;
  }
};

// ---- kernels
// ------------------------------------------------------------------------------------------------------------------------------

/// Rows first_row .. of an array, and parts first_part .. of each: what one launch draws. Fewer than 2^31 parts in all.
struct Parts {
  unsigned count;                              // of all rows
  Divider per_row;                             // of a row, in this launch
  std::int64_t first_row, first_part, length;  // length: elements of a row
  const std::int64_t* row_ids;                 // null: the position is the id
};

/// A thread's part: where it is drawn, where its first element lies in the array, and how many elements the row has from there on.
template <int kCount> struct Part {
  Spot spot;
  std::int64_t element, left;
  __device__ Part(const Parts& p, unsigned i) {
    unsigned row = i;
    spot.part = p.first_part + p.per_row.split(row);
    const std::int64_t at = p.first_row + row;
    element = at * p.length + spot.part * kCount;
    left = p.length - spot.part * kCount;
    spot.row = p.row_ids ? p.row_ids[at] : at;
  }
};

/// Grid: parts, 256 a block. A thread: one of them, by one access where kWhole. Writes y once.
template <bool kWhole, class F> __global__ void __launch_bounds__(kDrawThreads) draw_kernel(typename F::Out* y, F f, Key key, Parts parts) {
  constexpr int kCount = kEach<typename F::Out>;
  const unsigned i = blockIdx.x * kDrawThreads + threadIdx.x;
  if (i >= parts.count) return;
  const Part<kCount> part(parts, i);
  const auto v = f(key, part.spot);
  if constexpr (kWhole) {
    store<kCount>(y + part.element, v);
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      if (k < part.left) y[part.element + k] = v.at[k];
  }
}

/// The same with y = x keep / (1 - p). Reads x once, writes y once.
template <bool kWhole, class T> __global__ void __launch_bounds__(kDrawThreads)
    dropout_kernel(T* y, const T* x, Factors<T> factors, Key key, Parts parts) {
  constexpr int kCount = kEach<T>;
  const unsigned i = blockIdx.x * kDrawThreads + threadIdx.x;
  if (i >= parts.count) return;
  const Part<kCount> part(parts, i);
  const Elements<T, kCount> factor = factors(key, part.spot);
  if constexpr (kWhole) {
    Elements<T, kCount> v = load<kCount>(x + part.element);
#pragma unroll
    for (int k = 0; k < kCount; ++k) v.at[k] *= factor.at[k];
    store<kCount>(y + part.element, v);
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      if (k < part.left) y[part.element + k] = x[part.element + k] * factor.at[k];
  }
}

// ---- launchers
// ----------------------------------------------------------------------------------------------------------------------------

constexpr std::int64_t kMostParts = (std::int64_t{1} << 31) - 1;  // of a launch

struct Rows {
  std::int64_t count, length;
  Rows(const Shape& shape, ConstArray row_ids) {
    const bool one = !row_ids && shape.rank() < 2;
    count = one ? 1 : shape[0];
    length = one ? shape.elements() : shape.product(1, shape.rank());
    GRADUS_ASSERT(length <= std::int64_t{4} << 32 && (!row_ids || row_ids.elements() == count));
  }
};

/// f(parts) over the whole array, parts being `each` elements.
template <class F> void for_each_launch(const Shape& shape, ConstArray row_ids, int each, const F& f) {
  if (shape.elements() == 0) return;
  const Rows rows(shape, row_ids);
  const std::int64_t per_row = (rows.length + each - 1) / each, across = per_row < kMostParts ? per_row : kMostParts;
  const std::int64_t down = kMostParts / across;
  for (std::int64_t part = 0; part < per_row; part += across)
    for (std::int64_t row = 0; row < rows.count; row += down) {
      const std::int64_t n = per_row - part < across ? per_row - part : across, m = rows.count - row < down ? rows.count - row : down;
      f(Parts{static_cast<unsigned>(n * m), Divider(n), row, part, rows.length, row_ids ? row_ids.as<std::int64_t>() : nullptr});
    }
}

/// Whether every part is whole and aligned to its access.
bool whole_parts(const Shape& shape, ConstArray row_ids, int each, std::size_t size, const void* y, const void* x) {
  const std::uintptr_t bytes = static_cast<std::uintptr_t>(each) * size;
  return Rows(shape, row_ids).length % each == 0 && reinterpret_cast<std::uintptr_t>(y) % bytes == 0 &&
         reinterpret_cast<std::uintptr_t>(x) % bytes == 0;
}

template <class F> void draw(const char* op, Array y, Key key, ConstArray row_ids, F f) {
  using Out = typename F::Out;
  const bool whole = whole_parts(*y.shape, row_ids, kEach<Out>, sizeof(Out), y.data, nullptr);
  for_each_launch(*y.shape, row_ids, kEach<Out>, [&](const Parts& parts) {
    launch(op, whole ? draw_kernel<true, F> : draw_kernel<false, F>, blocks_for(parts.count, kDrawThreads), kDrawThreads, 0,
           static_cast<Out*>(y.data), f, key, parts);
  });
}

template <class T> UniformRange<T> range_of(double low, double high) {
  const T first = static_cast<T>(low), end = static_cast<T>(high);
  return {first, end - first, first < end ? std::nextafter(end, first) : first};
}

/// word < p 2^32 as word <= last; p > 0.
std::uint32_t last_word_of(double p) {
  const double words = std::nearbyint(p * 0x1p32);
  return words >= 0x1p32 ? 0xFFFFFFFFu : static_cast<std::uint32_t>(words) - 1;
}
/// Whether last_word_of(p) would be below every word.
bool is_never(double p) { return std::nearbyint(p * 0x1p32) < 1; }

}  // namespace

void uniform(Array y, Key key, ConstArray row_ids, double low, double high) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    draw("uniform", y, key, row_ids, Uniform<T>{range_of<T>(low, high)});
  });
}

void normal(Array y, Key key, ConstArray row_ids, double mean, double stddev) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    draw("normal", y, key, row_ids, Normal<T>{static_cast<T>(mean), static_cast<T>(stddev)});
  });
}

void bernoulli(Array y, Key key, ConstArray row_ids, double p) {
  GRADUS_ASSERT(y.dtype == DType::boolean);
  if (y.elements() == 0) return;
  if (is_never(p)) return fill_bytes(y.data, 0, static_cast<std::size_t>(y.elements()));
  draw("bernoulli", y, key, row_ids, Bernoulli{last_word_of(p)});
}

void dropout(Array y, ConstArray x, Key key, ConstArray row_ids, double p) {
  // With nothing kept the scale is 0 and the mask does not matter.
  const bool never = is_never(1 - p);
  const double scale = never ? 0 : 1 / (1 - p);
  const Bernoulli kept{never ? 0 : last_word_of(1 - p)};
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool whole = whole_parts(*y.shape, row_ids, kEach<T>, sizeof(T), y.data, x.data);
    for_each_launch(*y.shape, row_ids, kEach<T>, [&](const Parts& parts) {
      launch("dropout", whole ? dropout_kernel<true, T> : dropout_kernel<false, T>, blocks_for(parts.count, kDrawThreads), kDrawThreads, 0,
             y.as<T>(), x.as<T>(), Factors<T>{static_cast<T>(scale), kept}, key, parts);
    });
  });
}

}  // namespace gradus::inline v0::cuda
