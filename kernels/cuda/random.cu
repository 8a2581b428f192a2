// Draws: each element is one function of (key, row id, element within the row), the same bits as on the CPU (kernels/random_math.h).
//
// A thread draws one Philox block, the four elements 4 q .. 4 q + 3 of a row, and stores them by one access where rows are multiples of
// four and the arrays aligned; otherwise one by one.

#include <cmath>

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/random.h>
#include <gradus/kernels/random_math.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kDrawThreads = 256;

// ---- what is drawn: numbers from the words of a block ----------------------------------------------------------------------------------

/// The four words of a block, of the width that T is made from. An f64 appends the same word of the stream whose top bit is flipped.
template <class T> struct Words;
template <> struct Words<float> {
  std::uint32_t word[4];
  __device__ Words(Key key, std::uint32_t quad, std::int64_t row) {
    const PhiloxBlock b = philox_block(key, quad, row);
#pragma unroll
    for (int k = 0; k < 4; ++k) word[k] = b.word[k];
  }
};
template <> struct Words<double> {
  std::uint64_t word[4];
  __device__ Words(Key key, std::uint32_t quad, std::int64_t row) {
    const PhiloxBlock high = philox_block(key, quad, row), low = philox_block({key.seed, key.stream ^ 0x80000000u}, quad, row);
#pragma unroll
    for (int k = 0; k < 4; ++k) word[k] = std::uint64_t{high.word[k]} << 32 | low.word[k];
  }
};

template <class T> struct Uniform {
  using Out = T;
  UniformRange<T> range;
  __device__ Elements<T, 4> operator()(Key key, std::uint32_t quad, std::int64_t row) const {
    const Words<T> w(key, quad, row);
    Elements<T, 4> y;
#pragma unroll
    for (int k = 0; k < 4; ++k) y.at[k] = uniform_of<ScalarLanes<T>>(w.word[k], range);
    return y;
  }
};

template <class T> struct Normal {
  using Out = T;
  T mean, stddev;
  __device__ Elements<T, 4> operator()(Key key, std::uint32_t quad, std::int64_t row) const {
    const Words<T> w(key, quad, row);
    Elements<T, 4> z;
    box_muller<ScalarLanes<T>>(w.word[0], w.word[1], &z.at[0], &z.at[1]);
    box_muller<ScalarLanes<T>>(w.word[2], w.word[3], &z.at[2], &z.at[3]);
#pragma unroll
    for (int k = 0; k < 4; ++k) z.at[k] = multiply_add(z.at[k], stddev, mean);
    return z;
  }
};

/// True where word <= last.
struct Bernoulli {
  using Out = std::uint8_t;
  std::uint32_t last;
  __device__ Elements<std::uint8_t, 4> operator()(Key key, std::uint32_t quad, std::int64_t row) const {
    const PhiloxBlock b = philox_block(key, quad, row);
    Elements<std::uint8_t, 4> y;
#pragma unroll
    for (int k = 0; k < 4; ++k) y.at[k] = b.word[k] <= last;
    return y;
  }
};

// ---- kernels ---------------------------------------------------------------------------------------------------------------------------

/// Rows first_row .. of an array, and blocks first_quad .. of each: what one launch draws. Fewer than 2^31 blocks in all.
struct Quads {
  unsigned count;                              // of all rows
  Divider per_row;                             // blocks of a row that this launch draws
  std::int64_t first_row, first_quad, length;  // length: elements of a row
  const std::int64_t* row_ids;                 // null: the position is the id
};

/// A thread's block: its row's id, its number in the row, and its first element's offset in the array; `left` elements of the row from
/// there on.
struct Quad {
  std::int64_t row_id, element, left;
  std::uint32_t number;
  __device__ Quad(const Quads& q, unsigned i) {
    unsigned row = i;
    const std::int64_t in_row = q.first_quad + q.per_row.split(row), at = q.first_row + row;
    number = static_cast<std::uint32_t>(in_row);
    element = at * q.length + in_row * 4;
    left = q.length - in_row * 4;
    row_id = q.row_ids ? q.row_ids[at] : at;
  }
};

/// Four elements by 16-byte accesses or one of 4 bytes.
template <class T> __device__ inline void store_quad(T* y, const Elements<T, 4>& v) { store<4>(y, v); }
__device__ inline void store_quad(double* y, const Elements<double, 4>& v) {
  store<2>(y, Elements<double, 2>{v.at[0], v.at[1]});
  store<2>(y + 2, Elements<double, 2>{v.at[2], v.at[3]});
}
__device__ inline Elements<float, 4> load_quad(const float* x) { return load<4>(x); }
__device__ inline Elements<double, 4> load_quad(const double* x) {
  const Elements<double, 2> a = load<2>(x), b = load<2>(x + 2);
  return {a.at[0], a.at[1], b.at[0], b.at[1]};
}

/// Grid: blocks of four elements, 256 a block. A thread: one of them. Writes y once.
template <bool kWhole, class F> __global__ void __launch_bounds__(kDrawThreads) draw_kernel(typename F::Out* y, F f, Key key, Quads quads) {
  const unsigned i = blockIdx.x * kDrawThreads + threadIdx.x;
  if (i >= quads.count) return;
  const Quad q(quads, i);
  const auto v = f(key, q.number, q.row_id);
  if constexpr (kWhole) {
    store_quad(y + q.element, v);
  } else {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (k < q.left) y[q.element + k] = v.at[k];
  }
}

/// The same with y = x keep / (1 - p). Reads x once, writes y once.
template <bool kWhole, class T> __global__ void __launch_bounds__(kDrawThreads)
    dropout_kernel(T* y, const T* x, T scale, Bernoulli kept, Key key, Quads quads) {
  const unsigned i = blockIdx.x * kDrawThreads + threadIdx.x;
  if (i >= quads.count) return;
  const Quad q(quads, i);
  const Elements<std::uint8_t, 4> keep = kept(key, q.number, q.row_id);
  if constexpr (kWhole) {
    Elements<T, 4> v = load_quad(x + q.element);
#pragma unroll
    for (int k = 0; k < 4; ++k) v.at[k] *= keep.at[k] ? scale : T(0);
    store_quad(y + q.element, v);
  } else {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (k < q.left) y[q.element + k] = x[q.element + k] * (keep.at[k] ? scale : T(0));
  }
}

// ---- launchers -------------------------------------------------------------------------------------------------------------------------

constexpr std::int64_t kMostQuads = (std::int64_t{1} << 31) - 1;  // of a launch

/// f(quads) over the whole array.
template <class F> void for_each_launch(const Shape& shape, ConstArray row_ids, const F& f) {
  if (shape.elements() == 0) return;
  const bool one_row = !row_ids && shape.rank() < 2;
  const std::int64_t rows = one_row ? 1 : shape[0], length = one_row ? shape.elements() : shape.product(1, shape.rank());
  GRADUS_ASSERT(length <= std::int64_t{4} << 32 && (!row_ids || row_ids.elements() == rows));
  const std::int64_t per_row = (length + 3) / 4, across = per_row < kMostQuads ? per_row : kMostQuads, down = kMostQuads / across;
  for (std::int64_t quad = 0; quad < per_row; quad += across)
    for (std::int64_t row = 0; row < rows; row += down) {
      const std::int64_t n = per_row - quad < across ? per_row - quad : across, m = rows - row < down ? rows - row : down;
      f(Quads{static_cast<unsigned>(n * m), Divider(n), row, quad, length, row_ids ? row_ids.as<std::int64_t>() : nullptr});
    }
}

/// Whether every block is whole and aligned to its accesses.
bool whole_quads(const Shape& shape, ConstArray row_ids, std::size_t size, const void* y, const void* x) {
  const bool one_row = !row_ids && shape.rank() < 2;
  const std::int64_t length = one_row ? shape.elements() : shape.product(1, shape.rank());
  const std::uintptr_t bytes = size == 1 ? 4 : 16;
  return length % 4 == 0 && reinterpret_cast<std::uintptr_t>(y) % bytes == 0 && reinterpret_cast<std::uintptr_t>(x) % bytes == 0;
}

template <class F> void draw(const char* op, Array y, Key key, ConstArray row_ids, F f) {
  using Out = typename F::Out;
  const bool whole = whole_quads(*y.shape, row_ids, sizeof(Out), y.data, nullptr);
  for_each_launch(*y.shape, row_ids, [&](const Quads& quads) {
    launch(op, whole ? draw_kernel<true, F> : draw_kernel<false, F>, blocks_for(quads.count, kDrawThreads), kDrawThreads, 0,
           static_cast<Out*>(y.data), f, key, quads);
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
    const bool whole = whole_quads(*y.shape, row_ids, sizeof(T), y.data, x.data);
    for_each_launch(*y.shape, row_ids, [&](const Quads& quads) {
      launch("dropout", whole ? dropout_kernel<true, T> : dropout_kernel<false, T>, blocks_for(quads.count, kDrawThreads), kDrawThreads, 0,
             y.as<T>(), x.as<T>(), static_cast<T>(scale), kept, key, quads);
    });
  });
}

}  // namespace gradus::inline v0::cuda
