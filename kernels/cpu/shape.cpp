// Moving elements. Memory-bound, so not compiled per instruction set: rows go through memcpy and transpositions through blocks of whole
// cache lines.
#include <gradus/kernels/copy_walk.h>
#include <gradus/kernels/shape.h>

#include <algorithm>
#include <cstring>

#include <gradus/kernels/cpu/word.h>
#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu {
namespace {

constexpr std::int64_t kTaskBytes = 1 << 17;  // what a thread takes at a time: about 10 us

/// A position of a walk that moves on in row-major order.
class Cursor {
 public:
  Cursor(const CopyWalk& walk, std::int64_t position) : walk_(walk), offset_(walk.offset) {
    for (int a = walk.rank - 1; a >= 0; --a) {
      index_[a] = position % walk.extent[a];
      position /= walk.extent[a];
      offset_ += index_[a] * walk.stride[a];
    }
  }
  std::int64_t offset() const { return offset_; }
  void advance() {
    for (int a = walk_.rank - 1; a >= 0; --a) {
      offset_ += walk_.stride[a];
      if (++index_[a] < walk_.extent[a]) return;
      offset_ -= walk_.extent[a] * walk_.stride[a];
      index_[a] = 0;
    }
  }

 private:
  const CopyWalk& walk_;
  std::int64_t index_[Shape::kMaxRank] = {}, offset_;
};

/// f(offset in the contiguous side, offset in the strided side, elements) over pieces of the innermost axis.
template <class F> void for_each_piece(const CopyWalk& walk, std::int64_t size, const F& f) {
  if (walk.rank == 0) return f(0, walk.offset, 1);
  CopyWalk outer = walk;
  --outer.rank;
  const std::int64_t inner = walk.extent[outer.rank], step = walk.stride[outer.rank], rows = outer.elements(), most = kTaskBytes / size;
  if (rows == 1) {
    return parallel_for((inner + most - 1) / most,
                        [&](std::int64_t i) { f(i * most, walk.offset + i * most * step, std::min(most, inner - i * most)); });
  }
  const std::int64_t per_task = std::max<std::int64_t>(1, most / inner);
  parallel_for((rows + per_task - 1) / per_task, [&](std::int64_t task) {
    Cursor cursor(outer, task * per_task);
    for (std::int64_t row = task * per_task, end = std::min(rows, row + per_task); row < end; ++row, cursor.advance())
      f(row * inner, cursor.offset(), inner);
  });
}

// ---- strided side to contiguous side

template <int kSize> GRADUS_INLINE void copy_strided(Word<kSize>* y, const Word<kSize>* x, std::int64_t n, std::int64_t step) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i * step];
}

template <int kSize> void repeat(Word<kSize>* y, Word<kSize> value, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = value;
}

template <int kSize> void copy_rows(Word<kSize>* y, const Word<kSize>* x, const CopyWalk& walk) {
  const std::int64_t step = walk.rank ? walk.stride[walk.rank - 1] : 1;
  for_each_piece(walk, kSize, [&](std::int64_t to, std::int64_t from, std::int64_t n) {
    if (step == 1) std::memcpy(y + to, x + from, static_cast<std::size_t>(n) * kSize);
    else if (step == 0) repeat<kSize>(y + to, x[from], n);
    else if (step == -1) copy_strided<kSize>(y + to, x + from, n, -1);  // a constant step becomes vector code
    else copy_strided<kSize>(y + to, x + from, n, step);
  });
}

// A 2-D transposition y[r, c] = x[c, r], block by block. Steps are from one row of y, one row of x to the next.
struct Steps {
  std::int64_t y, x;
};

using Word4x4 = std::uint32_t __attribute__((vector_size(16)));

/// A 4 x 4 block of 4-byte elements, transposed in registers.
void transpose_4x4(Word<4>* y, const Word<4>* x, Steps step) {
  Word4x4 a, b, c, d;
  std::memcpy(&a, x, sizeof a);
  std::memcpy(&b, x + step.x, sizeof b);
  std::memcpy(&c, x + 2 * step.x, sizeof c);
  std::memcpy(&d, x + 3 * step.x, sizeof d);
  const Word4x4 ac_low = __builtin_shufflevector(a, c, 0, 4, 1, 5), ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7);
  const Word4x4 bd_low = __builtin_shufflevector(b, d, 0, 4, 1, 5), bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ac_low, bd_low, 0, 4, 1, 5);
  b = __builtin_shufflevector(ac_low, bd_low, 2, 6, 3, 7);
  c = __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5);
  d = __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7);
  std::memcpy(y, &a, sizeof a);
  std::memcpy(y + step.y, &b, sizeof b);
  std::memcpy(y + 2 * step.y, &c, sizeof c);
  std::memcpy(y + 3 * step.y, &d, sizeof d);
}

template <int kSize>
GRADUS_INLINE void transpose_by_columns(Word<kSize>* y, const Word<kSize>* x, Steps step, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c)
    for (std::int64_t r = 0; r < rows; ++r) y[r * step.y + c] = x[c * step.x + r];
}
template <int kSize>
GRADUS_INLINE void transpose_by_rows(Word<kSize>* y, const Word<kSize>* x, Steps step, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) y[r * step.y + c] = x[c * step.x + r];
}

constexpr std::int64_t kNarrow = 8;    // below this there are no lines to keep whole
constexpr std::int64_t kStrip = 1024;  // long side of a narrow block
/// Elements of other blocks each way: 16 KiB of buffer at most, half a first-level cache.
template <int kSize> constexpr std::int64_t kSide = kSize == 8 ? 32 : 64;

/// A block with a short side, which is the inner loop: both arrays advance in step. Three colours, the common case, are unrolled.
template <int kSize> void transpose_narrow(Word<kSize>* y, const Word<kSize>* x, Steps step, std::int64_t rows, std::int64_t columns) {
  if (rows == 3) return transpose_by_columns<kSize>(y, x, step, 3, columns);
  if (columns == 3) return transpose_by_rows<kSize>(y, x, step, rows, 3);
  if (rows < columns) return transpose_by_columns<kSize>(y, x, step, rows, columns);
  return transpose_by_rows<kSize>(y, x, step, rows, columns);
}

/// One block. It goes through a buffer, so that the lines of y are written one after the other, whole: with steps of a power of two the
/// lines of a block share a few cache sets and would drive each other out half-written.
template <int kSize> void transpose_block(Word<kSize>* y, const Word<kSize>* x, Steps step, std::int64_t rows, std::int64_t columns) {
  if (rows < kNarrow || columns < kNarrow) return transpose_narrow<kSize>(y, x, step, rows, columns);
  constexpr std::int64_t kRow = kSide<kSize>;
  alignas(64) Word<kSize> block[kRow * kRow];
  const Steps into = {kRow, step.x};
  std::int64_t done = 0;  // columns
  if constexpr (kSize == 4) {
    for (; rows % 4 == 0 && done + 4 <= columns; done += 4)
      for (std::int64_t r = 0; r < rows; r += 4) transpose_4x4(block + r * kRow + done, x + done * step.x + r, into);
  }
  transpose_by_columns<kSize>(block + done, x + done * step.x, into, rows, columns - done);
  for (std::int64_t r = 0; r < rows; ++r) std::memcpy(y + r * step.y, block + r * kRow, static_cast<std::size_t>(columns) * kSize);
}

/// The walk's innermost axis crosses x, its axis `along` runs along x: planes of 2-D transpositions.
template <int kSize> void copy_planes(Word<kSize>* y, const Word<kSize>* x, const CopyWalk& walk, int along) {
  const std::int64_t rows = walk.extent[along], columns = walk.extent[walk.rank - 1];
  Steps step = {0, walk.stride[walk.rank - 1]};
  CopyWalk from, to;  // the other axes in x, and in y, whose strides are those of its extents
  from.offset = walk.offset;
  std::int64_t elements = walk.elements();
  for (int a = 0; a < walk.rank - 1; ++a) {
    elements /= walk.extent[a];
    if (a == along) {
      step.y = elements;
    } else {
      from.extent[from.rank] = to.extent[to.rank] = walk.extent[a];
      from.stride[from.rank++] = walk.stride[a];
      to.stride[to.rank++] = elements;
    }
  }
  const std::int64_t height = std::min(rows, columns < kNarrow ? kStrip : kSide<kSize>), width = rows < kNarrow ? kStrip : kSide<kSize>;
  const std::int64_t bands = (rows + height - 1) / height, count = from.elements() * bands;
  const std::int64_t per_task = std::max<std::int64_t>(1, kTaskBytes / (height * columns * kSize));
  parallel_for((count + per_task - 1) / per_task, [&](std::int64_t task) {
    for (std::int64_t i = task * per_task, end = std::min(count, i + per_task); i < end; ++i) {
      const std::int64_t r = i % bands * height;
      const Word<kSize>* const source = x + Cursor(from, i / bands).offset() + r;
      Word<kSize>* const target = y + Cursor(to, i / bands).offset() + r * step.y;
      for (std::int64_t c = 0; c < columns; c += width)
        transpose_block<kSize>(target + c, source + c * step.x, step, std::min(height, rows - r), std::min(width, columns - c));
    }
  });
}

/// The axis that runs along x if the innermost one does not, else -1.
int transposed_axis(const CopyWalk& walk) {
  if (walk.rank < 2 || walk.stride[walk.rank - 1] == 1 || walk.stride[walk.rank - 1] == 0) return -1;
  for (int a = walk.rank - 2; a >= 0; --a)
    if (walk.stride[a] == 1) return a;
  return -1;
}

template <int kSize> void copy_walk(void* y, const void* x, const CopyWalk& walk) {
  auto* const to = static_cast<Word<kSize>*>(y);
  const auto* const from = static_cast<const Word<kSize>*>(x);
  const int along = transposed_axis(walk);
  if (along >= 0) copy_planes<kSize>(to, from, walk, along);
  else copy_rows<kSize>(to, from, walk);
}

/// y (contiguous) = x along the walk.
void copy_walk(Array y, ConstArray x, const CopyWalk& walk) {
  if (y.elements() == 0) return;
  switch (size_of(y.dtype)) {
    case 1: return copy_walk<1>(y.data, x.data, walk);
    case 2: return copy_walk<2>(y.data, x.data, walk);
    case 4: return copy_walk<4>(y.data, x.data, walk);
    default: return copy_walk<8>(y.data, x.data, walk);
  }
}

/// Elements from one position of each axis of a contiguous array to the next.
struct Strides {
  std::int64_t of[Shape::kMaxRank] = {};
  explicit Strides(const Shape& shape) {
    std::int64_t elements = 1;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      of[a] = elements;
      elements *= shape[a];
    }
  }
};

/// The window of `array` with the extents of `window`.
CopyWalk window_walk(const Shape& array, const Shape& window, const std::int64_t* starts, const std::int64_t* steps) {
  const Strides strides(array);
  CopyWalk walk;
  for (int a = 0; a < window.rank(); ++a) {
    GRADUS_ASSERT(steps[a] > 0 && starts[a] >= 0 && (window[a] == 0 || starts[a] + (window[a] - 1) * steps[a] < array[a]));
    walk.offset += starts[a] * strides.of[a];
    walk.push(window[a], steps[a] * strides.of[a]);
  }
  return walk;
}

}  // namespace

void permute(Array y, ConstArray x, const int* permutation) {
  const Strides strides(*x.shape);
  CopyWalk walk;
  for (int a = 0; a < y.shape->rank(); ++a) walk.push((*y.shape)[a], strides.of[permutation[a]]);
  copy_walk(y, x, walk);
}

void slice(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps) {
  copy_walk(y, x, window_walk(*x.shape, *y.shape, starts, steps));
}

void flip(Array y, ConstArray x, unsigned axes) {
  const Strides strides(*x.shape);
  CopyWalk walk;
  for (int a = 0; a < x.shape->rank(); ++a) {
    const std::int64_t n = (*x.shape)[a];
    const bool reversed = axes >> a & 1u;
    if (reversed) walk.offset += (n - 1) * strides.of[a];
    walk.push(n, reversed ? -strides.of[a] : strides.of[a]);
  }
  copy_walk(y, x, walk);
}

void broadcast_to(Array y, ConstArray x) {
  const Strides strides(*x.shape);
  const int missing = y.shape->rank() - x.shape->rank();
  CopyWalk walk;
  for (int a = 0; a < y.shape->rank(); ++a)
    walk.push((*y.shape)[a], a < missing || (*x.shape)[a - missing] == 1 ? 0 : strides.of[a - missing]);
  copy_walk(y, x, walk);
}

// ---- contiguous side to strided side

void slice_add(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps) {
  if (x.elements() == 0) return;
  const CopyWalk walk = window_walk(*y.shape, *x.shape, starts, steps);
  const std::int64_t step = walk.rank ? walk.stride[walk.rank - 1] : 1;
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(walk, sizeof(T), [&](std::int64_t from, std::int64_t to, std::int64_t n) {
      T* const sum = y.as<T>() + to;
      const T* const term = x.as<T>() + from;
      if (step == 1) {
        for (std::int64_t i = 0; i < n; ++i) sum[i] += term[i];
      } else {
        for (std::int64_t i = 0; i < n; ++i) sum[i * step] += term[i];
      }
    });
  });
}

namespace {

/// Up to kMost inputs of a concat: their bytes in one row of y. Rows are written whole, in address order.
struct Strip {
  static constexpr int kMost = 16;
  const char* data[kMost];
  std::int64_t bytes[kMost];
  int count = 0;
  std::int64_t width = 0;  // bytes of all

  void push(const void* x, std::int64_t row_bytes) {
    data[count] = static_cast<const char*>(x);
    bytes[count++] = row_bytes;
    width += row_bytes;
  }
  void copy_row(char* y, std::int64_t row) const {
    for (int i = 0; i < count; y += bytes[i++]) std::memcpy(y, data[i] + row * bytes[i], static_cast<std::size_t>(bytes[i]));
  }
  /// Rows of y are `pitch` bytes apart. A single row is cut into pieces instead.
  void copy(char* y, std::int64_t rows, std::int64_t pitch) const {
    if (rows == 1) {
      for (int i = 0; i < count; y += bytes[i++])
        parallel_for((bytes[i] + kTaskBytes - 1) / kTaskBytes, [&](std::int64_t piece) {
          const std::int64_t begin = piece * kTaskBytes;
          std::memcpy(y + begin, data[i] + begin, static_cast<std::size_t>(std::min(kTaskBytes, bytes[i] - begin)));
        });
      return;
    }
    const std::int64_t per_task = std::max<std::int64_t>(1, kTaskBytes / std::max<std::int64_t>(1, width));
    parallel_for((rows + per_task - 1) / per_task, [&](std::int64_t task) {
      for (std::int64_t row = task * per_task, end = std::min(rows, row + per_task); row < end; ++row) copy_row(y + row * pitch, row);
    });
  }
};

}  // namespace

void concat(Array y, const ConstArray* inputs, int count, int axis) {
  if (y.elements() == 0) return;
  const auto size = static_cast<std::int64_t>(size_of(y.dtype));
  const std::int64_t rows = y.shape->product(0, axis), pitch = y.elements() / rows * size;
  char* out = static_cast<char*>(y.data);
  for (int i = 0; i < count;) {
    Strip strip;
    for (; i < count && strip.count < Strip::kMost; ++i)
      if (inputs[i].elements()) strip.push(inputs[i].data, inputs[i].elements() / rows * size);
    strip.copy(out, rows, pitch);
    out += strip.width;
  }
}

}  // namespace gradus::inline v0::cpu
