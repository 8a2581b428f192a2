// Padding: one pass over the result, writing border and copy in address order.
#include <algorithm>

#include <gradus/kernels/parallel.h>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0::cpu {
namespace {

constexpr std::int64_t kTaskBytes = 1 << 17;  // what a thread takes at a time: about 10 us

/// Axes from the outermost in; an axis without padding is one with the axis outside it.
struct Padding {
  int rank = 0;
  std::int64_t extent[Shape::kMaxRank] = {}, low[Shape::kMaxRank] = {}, high[Shape::kMaxRank] = {};
  std::int64_t x_block[Shape::kMaxRank] = {}, y_block[Shape::kMaxRank] = {};  // elements of one position of the axis

  Padding(const Shape& y, const Shape& x, const std::int64_t* lows) {
    for (int a = 0; a < x.rank(); ++a) push(x[a], lows[a], y[a] - x[a] - lows[a]);
    std::int64_t x_elements = 1, y_elements = 1;
    for (int a = rank - 1; a >= 0; --a) {
      x_block[a] = x_elements;
      y_block[a] = y_elements;
      x_elements *= extent[a];
      y_elements *= low[a] + extent[a] + high[a];
    }
  }
  void push(std::int64_t n, std::int64_t before, std::int64_t after) {
    if (rank && before == 0 && after == 0) {
      extent[rank - 1] *= n;
      low[rank - 1] *= n;
      high[rank - 1] *= n;
    } else {
      extent[rank] = n;
      low[rank] = before;
      high[rank++] = after;
    }
  }
};

template <class T> T* put(T* y, std::int64_t n, T value) { return std::fill_n(y, n, value); }

/// Writes axis `a` and those inside it; returns the end of what it wrote.
template <class T> T* pad_axis(const Padding& p, int a, T* y, const T* x, T value) {
  y = put(y, p.low[a] * p.y_block[a], value);
  if (a == p.rank - 1) {
    y = std::copy_n(x, p.extent[a], y);
  } else {
    for (std::int64_t i = 0; i < p.extent[a]; ++i) y = pad_axis(p, a + 1, y, x + i * p.x_block[a], value);
  }
  return put(y, p.high[a] * p.y_block[a], value);
}

/// Positions of the outermost axis are shared between threads.
template <class T> void pad_array(const Padding& p, T* y, const T* x, T value) {
  if (p.rank < 2) {
    if (p.rank == 1) pad_axis(p, 0, y, x, value);
    else *y = *x;
    return;
  }
  const std::int64_t count = p.low[0] + p.extent[0] + p.high[0];
  const std::int64_t per_task =
      std::max<std::int64_t>(1, kTaskBytes / static_cast<std::int64_t>(sizeof(T)) / std::max<std::int64_t>(1, p.y_block[0]));
  parallel_for((count + per_task - 1) / per_task, [&](std::int64_t task) {
    for (std::int64_t i = task * per_task, end = std::min(count, i + per_task); i < end; ++i) {
      const std::int64_t from = i - p.low[0];
      if (from < 0 || from >= p.extent[0]) put(y + i * p.y_block[0], p.y_block[0], value);
      else pad_axis(p, 1, y + i * p.y_block[0], x + from * p.x_block[0], value);
    }
  });
}

template <class T> void pad_array(const Padding& p, Array y, ConstArray x, double value) {
  pad_array(p, static_cast<T*>(y.data), static_cast<const T*>(x.data), static_cast<T>(value));
}

/// The nearest bf16, ties to even, as its bits; NaN stays NaN.
std::uint16_t bf16_bits(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace

void pad(Array y, ConstArray x, const std::int64_t* low, double value) {
  const Padding p(*y.shape, *x.shape, low);
  switch (y.dtype) {
    case DType::f32: return pad_array<float>(p, y, x, value);
    case DType::f64: return pad_array<double>(p, y, x, value);
    case DType::i64: return pad_array<std::int64_t>(p, y, x, value);
    case DType::u8: return pad_array<std::uint8_t>(p, y, x, value);
    case DType::boolean: return pad_array<bool>(p, y, x, value);
    case DType::bf16: {
      const auto bits = bf16_bits(static_cast<float>(value));
      return pad_array(p, static_cast<std::uint16_t*>(y.data), static_cast<const std::uint16_t*>(x.data), bits);
    }
  }
}

}  // namespace gradus::inline v0::cpu
