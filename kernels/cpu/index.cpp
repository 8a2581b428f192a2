// Positions from an index. Bound by memory latency, so not compiled per instruction set.
#include <gradus/kernels/index.h>

#include <algorithm>
#include <cstring>

#include <gradus/kernels/cpu/word.h>
#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu {
namespace {

constexpr std::int64_t kTaskBytes = 1 << 16;  // moved by one task: 5 to 20 us at scattered addresses

/// An array seen from one axis: [outer, extent, inner].
struct AxisView {
  std::int64_t outer, extent, inner;
  AxisView(const Shape& shape, int axis)
      : outer(shape.product(0, axis)), extent(shape[axis]), inner(shape.product(axis + 1, shape.rank())) {}
};

/// f(outer, begin, end): positions [begin, end) of one outer block, over all of them, in pieces worth about kTaskBytes.
template <class F> void for_each_run(std::int64_t outer, std::int64_t extent, std::int64_t bytes, const F& f) {
  const std::int64_t count = outer * extent, step = std::max<std::int64_t>(1, kTaskBytes / std::max<std::int64_t>(1, bytes));
  parallel_for((count + step - 1) / step, [&](std::int64_t i) {
    for (std::int64_t at = i * step, last = std::min(count, at + step); at < last;) {
      const std::int64_t o = at / extent, end = std::min(last, (o + 1) * extent);
      f(o, at - o * extent, end - o * extent);
      at = end;
    }
  });
}

/// f(first, last) over shares of the columns. A sum keeps its order in every column, so the number of shares may follow the threads.
template <class F> void for_each_column_share(std::int64_t columns, const F& f) {
  constexpr std::int64_t kLine = 16;  // columns of a share: whole cache lines
  const ThreadPool* const pool = current_pool();
  const std::int64_t shares = pool ? std::min<std::int64_t>(pool->threads(), columns / kLine) : 1;
  if (shares < 2) return f(0, columns);
  const std::int64_t width = (columns / kLine + shares - 1) / shares * kLine;
  parallel_for(shares,
               [&](std::int64_t i) { f(std::min(columns, i * width), i + 1 == shares ? columns : std::min(columns, (i + 1) * width)); });
}

/// gather() for one outer block and positions [begin, end) of it.
template <int kSize>
void gather_run(Word<kSize>* y, const Word<kSize>* x, const std::int64_t* at, std::int64_t inner, std::int64_t begin, std::int64_t end) {
  if (inner == 1) {
    for (std::int64_t j = begin; j < end; ++j) y[j] = x[at[j]];
    return;
  }
  for (std::int64_t j = begin; j < end; ++j)
    for (std::int64_t i = j * inner, k = 0; k < inner; ++i, ++k) y[i] = x[at[i] * inner + k];
}

template <int kSize> void gather_words(void* y, const void* x, const std::int64_t* at, const AxisView& to, const AxisView& from) {
  for_each_run(to.outer, to.extent, to.inner * 8, [&](std::int64_t o, std::int64_t begin, std::int64_t end) {
    const std::int64_t block = o * to.extent * to.inner;
    gather_run<kSize>(static_cast<Word<kSize>*>(y) + block, static_cast<const Word<kSize>*>(x) + o * from.extent * from.inner, at + block,
                      to.inner, begin, end);
  });
}

}  // namespace

void index_select(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const auto* const at = index.as<std::int64_t>();
  const auto row_bytes = static_cast<std::int64_t>(size_of(y.dtype)) * to.inner;
  for_each_run(to.outer, to.extent, row_bytes, [&](std::int64_t o, std::int64_t begin, std::int64_t end) {
    char* const out = static_cast<char*>(y.data) + o * to.extent * row_bytes;
    const char* const in = static_cast<const char*>(x.data) + o * from.extent * row_bytes;
    for (std::int64_t j = begin; j < end; ++j)
      std::memcpy(out + j * row_bytes, in + at[j] * row_bytes, static_cast<std::size_t>(row_bytes));
  });
}

void index_add(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const auto* const at = index.as<std::int64_t>();
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto add = [&](std::int64_t o, std::int64_t first, std::int64_t last) {
      for (std::int64_t j = 0; j < from.extent; ++j) {
        T* const sum = y.as<T>() + (o * to.extent + at[j]) * to.inner;
        const T* const term = x.as<T>() + (o * from.extent + j) * from.inner;
        for (std::int64_t k = first; k < last; ++k) sum[k] += term[k];
      }
    };
    if (to.outer == 1) return for_each_column_share(to.inner, [&](std::int64_t first, std::int64_t last) { add(0, first, last); });
    for_each_run(1, to.outer, 2 * from.extent * from.inner * static_cast<std::int64_t>(sizeof(T)),
                 [&](std::int64_t, std::int64_t begin, std::int64_t end) {
                   for (std::int64_t o = begin; o < end; ++o) add(o, 0, to.inner);
                 });
  });
}

void gather(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const auto* const at = index.as<std::int64_t>();
  switch (size_of(y.dtype)) {
    case 1: return gather_words<1>(y.data, x.data, at, to, from);
    case 2: return gather_words<2>(y.data, x.data, at, to, from);
    case 4: return gather_words<4>(y.data, x.data, at, to, from);
    default: return gather_words<8>(y.data, x.data, at, to, from);
  }
}

void scatter_add(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto add = [&](std::int64_t o, std::int64_t first, std::int64_t last) {
      T* const sum = y.as<T>() + o * to.extent * to.inner;
      const T* const term = x.as<T>() + o * from.extent * from.inner;
      const auto* const at = index.as<std::int64_t>() + o * from.extent * from.inner;
      for (std::int64_t j = 0; j < from.extent; ++j)
        for (std::int64_t k = first; k < last; ++k) sum[at[j * from.inner + k] * from.inner + k] += term[j * from.inner + k];
    };
    if (to.outer == 1) return for_each_column_share(from.inner, [&](std::int64_t first, std::int64_t last) { add(0, first, last); });
    for_each_run(1, to.outer, 8 * from.extent * from.inner, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) add(o, 0, from.inner);
    });
  });
}

namespace {

template <class T> void one_hot_rows(T* y, const std::int64_t* at, std::int64_t count, std::int64_t classes) {
  for_each_run(1, count, classes * static_cast<std::int64_t>(sizeof(T)), [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    std::fill(y + begin * classes, y + end * classes, T(0));
    for (std::int64_t i = begin; i < end; ++i) y[i * classes + at[i]] = T(1);
  });
}

}  // namespace

void one_hot(Array y, ConstArray index) {
  const auto run = [&](auto* out) { one_hot_rows(out, index.as<std::int64_t>(), index.elements(), y.shape->back()); };
  switch (y.dtype) {
    case DType::f32: return run(y.as<float>());
    case DType::f64: return run(y.as<double>());
    case DType::i64: return run(y.as<std::int64_t>());
    case DType::u8: return run(y.as<std::uint8_t>());
    case DType::boolean: return run(y.as<bool>());
    case DType::bf16: GRADUS_ASSERT(false);
  }
}

std::int64_t first_out_of_range(ConstArray index, std::int64_t bound) {
  const auto* const at = index.as<std::int64_t>();
  // A negative index is a large unsigned number.
  for (std::int64_t i = 0, n = index.elements(); i < n; ++i)
    if (static_cast<std::uint64_t>(at[i]) >= static_cast<std::uint64_t>(bound)) return i;
  return -1;
}

}  // namespace gradus::inline v0::cpu
