// Positions from an index. Bound by memory latency, so not compiled per instruction set.
#include <gradus/kernels/index.h>

#include <algorithm>
#include <cstring>

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

/// f(begin, end) over pieces of [0, count), each worth about kTaskBytes at `bytes` a step.
template <class F> void for_each_range(std::int64_t count, std::int64_t bytes, const F& f) {
  const std::int64_t step = std::max<std::int64_t>(1, kTaskBytes / std::max<std::int64_t>(1, bytes));
  parallel_for((count + step - 1) / step, [&](std::int64_t i) { f(i * step, std::min(count, (i + 1) * step)); });
}

/// An element of 1, 2, 4 or 8 bytes that may be read and written as this type whatever it is.
template <int kSize> struct Element;
template <> struct Element<1> { typedef std::uint8_t Word __attribute__((may_alias)); };
template <> struct Element<2> { typedef std::uint16_t Word __attribute__((may_alias)); };
template <> struct Element<4> { typedef std::uint32_t Word __attribute__((may_alias)); };
template <> struct Element<8> { typedef std::uint64_t Word __attribute__((may_alias)); };

/// f(y, x) on words of the arrays' element size.
template <class F> void with_words(Array y, ConstArray x, const F& f) {
  const auto run = [&](auto element) {
    using Word = typename decltype(element)::Word;
    f(static_cast<Word*>(y.data), static_cast<const Word*>(x.data));
  };
  switch (size_of(y.dtype)) {
    case 1: return run(Element<1>{});
    case 2: return run(Element<2>{});
    case 4: return run(Element<4>{});
    default: return run(Element<8>{});
  }
}

template <class T> void add_to(T* y, const T* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

/// How many tasks share the rows of y when one outer block is all there is. Each reads the whole index, so few.
constexpr std::int64_t kRowShares = 8;

}  // namespace

void index_select(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const auto* const at = index.as<std::int64_t>();
  const auto row_bytes = static_cast<std::int64_t>(size_of(y.dtype)) * to.inner;
  const auto copy_row = [&](std::int64_t row, std::int64_t source) {
    std::memcpy(static_cast<char*>(y.data) + row * row_bytes, static_cast<const char*>(x.data) + source * row_bytes,
                static_cast<std::size_t>(row_bytes));
  };
  if (row_bytes == 0) return;
  for_each_range(to.outer * to.extent, row_bytes, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) copy_row(row, row / to.extent * from.extent + at[row % to.extent]);
  });
}

namespace {

template <class T> void index_add_rows(T* y, const T* x, const std::int64_t* at, const AxisView& to, const AxisView& from) {
  if (to.outer > 1) {
    return for_each_range(to.outer, from.extent * from.inner * static_cast<std::int64_t>(sizeof(T)),
                          [&](std::int64_t begin, std::int64_t end) {
                            for (std::int64_t o = begin; o < end; ++o)
                              for (std::int64_t j = 0; j < from.extent; ++j)
                                add_to(y + (o * to.extent + at[j]) * to.inner, x + (o * from.extent + j) * to.inner, to.inner);
                          });
  }
  const std::int64_t shares = from.extent * from.inner * static_cast<std::int64_t>(sizeof(T)) < 2 * kTaskBytes ? 1 : kRowShares;
  parallel_for(shares, [&](std::int64_t share) {
    const std::int64_t begin = share * to.extent / shares, end = (share + 1) * to.extent / shares;
    for (std::int64_t j = 0; j < from.extent; ++j)
      if (at[j] >= begin && at[j] < end) add_to(y + at[j] * to.inner, x + j * to.inner, to.inner);
  });
}

}  // namespace

void index_add(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    index_add_rows(y.as<T>(), x.as<T>(), index.as<std::int64_t>(), to, from);
  });
}

void gather(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const auto* const at = index.as<std::int64_t>();
  with_words(y, x, [&](auto* out, const auto* in) {
    for_each_range(to.outer * to.extent, to.inner * 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const auto* const source = in + row / to.extent * from.extent * to.inner;
        for (std::int64_t i = row * to.inner, k = 0; k < to.inner; ++i, ++k) out[i] = source[at[i] * to.inner + k];
      }
    });
  });
}

namespace {

/// Columns [first, last) of one outer block: all terms of an element of y, in the order of the index.
template <class T>
void scatter_add_columns(T* y, const T* x, const std::int64_t* at, const AxisView& from, std::int64_t first, std::int64_t last) {
  for (std::int64_t j = 0; j < from.extent; ++j)
    for (std::int64_t k = first; k < last; ++k) y[at[j * from.inner + k] * from.inner + k] += x[j * from.inner + k];
}

}  // namespace

void scatter_add(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const auto* const at = index.as<std::int64_t>();
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    // Work is shared by outer blocks, or within a single one by columns.
    const bool by_columns = from.outer == 1;
    const std::int64_t x_block = from.extent * from.inner, y_block = to.extent * to.inner;
    for_each_range(by_columns ? from.inner : from.outer, 8 * (by_columns ? from.extent : x_block),
                   [&](std::int64_t begin, std::int64_t end) {
                     if (by_columns) return scatter_add_columns(y.as<T>(), x.as<T>(), at, from, begin, end);
                     for (std::int64_t o = begin; o < end; ++o)
                       scatter_add_columns(y.as<T>() + o * y_block, x.as<T>() + o * x_block, at + o * x_block, from, 0, from.inner);
                   });
  });
}

void one_hot(Array y, ConstArray index) {
  const auto* const at = index.as<std::int64_t>();
  const std::int64_t classes = y.shape->back();
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = y.as<T>();
    for_each_range(index.elements(), classes * static_cast<std::int64_t>(sizeof(T)), [&](std::int64_t begin, std::int64_t end) {
      std::fill(out + begin * classes, out + end * classes, T(0));
      for (std::int64_t i = begin; i < end; ++i) out[i * classes + at[i]] = T(1);
    });
  });
}

std::int64_t first_out_of_range(ConstArray index, std::int64_t bound) {
  const auto* const at = index.as<std::int64_t>();
  // A negative index is a large unsigned number.
  for (std::int64_t i = 0, n = index.elements(); i < n; ++i)
    if (static_cast<std::uint64_t>(at[i]) >= static_cast<std::uint64_t>(bound)) return i;
  return -1;
}

}  // namespace gradus::inline v0::cpu
