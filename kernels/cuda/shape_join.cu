// concat and pad: one pass over the result. Any dtype, in words of up to 16 bytes.

#include <cstring>

#include <gradus/kernels/cuda/shape.cuh>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kPerBlock = kCopyThreads * kCopyBatch;  // words

// ---- concat: row i of y is row i of one input after the other --------------------------------------------------------------------------

/// Up to kMost inputs, copied by one launch. In words.
struct Joint {
  static constexpr int kMost = 16;
  int count = 0;
  unsigned rows = 0;
  std::int64_t pitch = 0;   // from row to row of y
  const void* data[kMost];  // the inputs
  Divider width[kMost];     // of a row
  unsigned first_block[kMost + 1] = {};
  std::int64_t column[kMost];  // where the input's rows begin in a row of y
};

/// Grid: 1024 words of one input a block of 256. A thread: four words, 256 apart. Moves the inputs and y once.
template <class Word> __global__ void __launch_bounds__(kCopyThreads) concat_kernel(Word* y, Joint j) {
  const void* data = j.data[0];
  Divider width = j.width[0];
  std::int64_t column = j.column[0];
  unsigned first_block = 0;
#pragma unroll
  for (int k = 1; k < Joint::kMost; ++k) {  // no subscript depends on data, so that the arrays stay in constant memory
    if (k >= j.count || blockIdx.x < j.first_block[k]) break;
    data = j.data[k];
    width = j.width[k];
    column = j.column[k];
    first_block = j.first_block[k];
  }
  const Word* const x = static_cast<const Word*>(data);
  const unsigned first = (blockIdx.x - first_block) * kPerBlock + threadIdx.x, words = j.rows * width.divisor;
  Word value[kCopyBatch];
#pragma unroll
  for (int k = 0; k < kCopyBatch; ++k)
    if (const unsigned i = first + k * kCopyThreads; i < words) value[k] = x[i];
#pragma unroll
  for (int k = 0; k < kCopyBatch; ++k)
    if (const unsigned i = first + k * kCopyThreads; i < words) {
      unsigned row = i;
      const unsigned at = width.split(row);
      y[row * j.pitch + column + at] = value[k];
    }
}

/// The rows of some inputs, in bytes.
struct Inputs {
  int count = 0;
  const char* data[Joint::kMost];
  std::int64_t bytes[Joint::kMost], column[Joint::kMost];  // of a row; where it begins in a row of y

  std::int64_t widest() const {
    std::int64_t most = 0;
    for (int i = 0; i < count; ++i) most = bytes[i] > most ? bytes[i] : most;
    return most;
  }
};

void join_rows(char* y, const Inputs& inputs, std::int64_t rows, std::int64_t pitch, int word_bytes) {
  Joint j;
  j.count = inputs.count;
  j.rows = static_cast<unsigned>(rows);
  j.pitch = pitch / word_bytes;
  for (int i = 0; i < j.count; ++i) {
    j.data[i] = inputs.data[i];
    j.width[i] = Divider(inputs.bytes[i] / word_bytes);
    j.column[i] = inputs.column[i] / word_bytes;
    j.first_block[i + 1] = j.first_block[i] + blocks_for(rows * j.width[i].divisor, kPerBlock);
  }
  with_word(word_bytes, [&](auto word) {
    using Word = decltype(word);
    launch("concat", concat_kernel<Word>, j.first_block[j.count], kCopyThreads, 0, reinterpret_cast<Word*>(y), j);
  });
}

/// In groups of rows of which every input has fewer than 2^31 words.
void join(char* y, Inputs inputs, std::int64_t rows, std::int64_t pitch) {
  CommonWord word;
  word.add(y);
  word.add(rows > 1 ? pitch : 0);
  for (int i = 0; i < inputs.count; ++i) {
    word.add(inputs.data[i]);
    word.add(inputs.bytes[i]);
    word.add(inputs.column[i]);
  }
  const int word_bytes = word.bytes();
  const std::int64_t most = kMostWords / (inputs.widest() / word_bytes);
  if (most == 0) {
    for (int i = 0; i < inputs.count; ++i)
      for (std::int64_t r = 0; r < rows; ++r)
        copy_within(y + r * pitch + inputs.column[i], inputs.data[i] + r * inputs.bytes[i], static_cast<std::size_t>(inputs.bytes[i]));
    return;
  }
  for (std::int64_t first = 0; first < rows; first += most) {
    const std::int64_t n = rows - first < most ? rows - first : most;
    join_rows(y + first * pitch, inputs, n, pitch, word_bytes);
    for (int i = 0; i < inputs.count; ++i) inputs.data[i] += n * inputs.bytes[i];
  }
}

// ---- pad -------------------------------------------------------------------------------------------------------------------------------

/// Axes innermost first; an axis without padding is one with the axis outside it. In words.
struct PadLayout {
  int rank = 0;
  Divider extent[Shape::kMaxRank];                                   // of y
  unsigned low[Shape::kMaxRank] = {}, inside[Shape::kMaxRank] = {};  // y's positions low .. low + inside - 1 are x's
  std::int64_t stride[Shape::kMaxRank] = {};                         // of x
};

/// Grid: 1024 words of y a block of 256. A thread: four words, 256 apart. Moves x and y once.
template <class Word> __global__ void __launch_bounds__(kCopyThreads)
    pad_kernel(Word* y, const Word* x, unsigned words, PadLayout p, Word border) {
  const unsigned first = blockIdx.x * kPerBlock + threadIdx.x;
  Word value[kCopyBatch];
#pragma unroll
  for (int k = 0; k < kCopyBatch; ++k) {
    const unsigned i = first + k * kCopyThreads;
    unsigned rest = i;
    std::int64_t at = 0;
    bool inside = i < words;
#pragma unroll
    for (int a = 0; a < Shape::kMaxRank; ++a) {
      if (a >= p.rank) break;
      const unsigned from = (a + 1 < p.rank ? p.extent[a].split(rest) : rest) - p.low[a];  // wraps below `low`
      inside = inside && from < p.inside[a];
      at += from * p.stride[a];
    }
    value[k] = border;
    if (inside) value[k] = x[at];
  }
#pragma unroll
  for (int k = 0; k < kCopyBatch; ++k)
    if (const unsigned i = first + k * kCopyThreads; i < words) y[i] = value[k];
}

/// Axes outermost first, in elements, then in words.
struct Padding {
  int rank = 0;
  std::int64_t inside[Shape::kMaxRank] = {}, low[Shape::kMaxRank] = {}, extent[Shape::kMaxRank] = {};

  Padding(const Shape& y, const Shape& x, const std::int64_t* lows) {
    for (int a = 0; a < x.rank(); ++a) push(x[a], lows[a], y[a]);
  }
  void push(std::int64_t n, std::int64_t before, std::int64_t all) {
    if (rank > 0 && n == all) {
      inside[rank - 1] *= n;
      low[rank - 1] *= n;
      extent[rank - 1] *= n;
    } else {
      inside[rank] = n;
      low[rank] = before;
      extent[rank++] = all;
    }
  }
  void divide(std::int64_t count) {
    if (rank == 0) return;
    inside[rank - 1] /= count;
    low[rank - 1] /= count;
    extent[rank - 1] /= count;
  }
  /// Without the outermost axis; with nothing of x, where the position is outside.
  Padding within(bool has_x) const {
    Padding p = *this;
    --p.rank;
    for (int a = 0; a < p.rank; ++a) {
      p.inside[a] = inside[a + 1];
      p.low[a] = low[a + 1];
      p.extent[a] = extent[a + 1];
    }
    if (!has_x) p.inside[0] = 0;
    return p;
  }
  /// y's words per position of the outermost axis, and x's.
  std::int64_t y_block() const { return product(extent); }
  std::int64_t x_block() const { return product(inside); }

  PadLayout layout() const {
    PadLayout p;
    p.rank = rank;
    std::int64_t stride = 1;
    for (int a = rank - 1; a >= 0; --a) {
      const int at = rank - 1 - a;
      p.extent[at] = Divider(extent[a]);
      p.low[at] = static_cast<unsigned>(low[a]);
      p.inside[at] = static_cast<unsigned>(inside[a]);
      p.stride[at] = stride;
      stride *= inside[a];
    }
    return p;
  }

 private:
  std::int64_t product(const std::int64_t* of) const {
    std::int64_t n = 1;
    for (int a = 1; a < rank; ++a) n *= of[a];
    return n;
  }
};

/// One launch for every group of outermost positions that has fewer than 2^31 words of y, or, where one position has more, for parts of it.
template <class Word> void pad_words(Word* y, const Word* x, Padding p, Word border) {
  if (p.rank == 0) p.push(1, 0, 1);
  const std::int64_t all = p.extent[0], low = p.low[0], end = low + p.inside[0], y_block = p.y_block(), x_block = p.x_block();
  const std::int64_t most = kMostWords / y_block;
  for (std::int64_t i = 0; most == 0 && i < all; ++i)
    pad_words(y + i * y_block, x + (i >= low && i < end ? i - low : 0) * x_block, p.within(i >= low && i < end), border);
  if (most == 0) return;
  for (std::int64_t first = 0; first < all; first += most) {
    p.extent[0] = all - first < most ? all - first : most;
    const std::int64_t from = low > first ? low : first, to = end < first + p.extent[0] ? end : first + p.extent[0];
    p.inside[0] = to > from ? to - from : 0;
    p.low[0] = p.inside[0] > 0 ? from - first : 0;
    const auto words = static_cast<unsigned>(p.extent[0] * y_block);
    launch("pad", pad_kernel<Word>, blocks_for(words, kPerBlock), kCopyThreads, 0, y + first * y_block,
           x + (p.inside[0] > 0 ? from - low : 0) * x_block, words, p.layout(), border);
  }
}

template <class T> void pad_with(Array y, ConstArray x, const std::int64_t* low, T value) {
  Padding p(*y.shape, *x.shape, low);
  CommonWord word;
  word.add(y.data);
  word.add(x.data);
  const auto size = static_cast<std::int64_t>(sizeof(T));
  if (p.rank == 0) word.add(size);
  else
    for (const std::int64_t n : {p.inside[p.rank - 1], p.low[p.rank - 1], p.extent[p.rank - 1]}) word.add(n * size);
  const int bytes = word.bytes();
  p.divide(bytes / size);
  with_word(bytes, [&](auto zero) {
    using Word = decltype(zero);
    if constexpr (sizeof(Word) >= sizeof(T)) {
      T values[sizeof(Word) / sizeof(T)];
      for (T& v : values) v = value;
      Word border;
      std::memcpy(&border, values, sizeof border);
      pad_words(static_cast<Word*>(y.data), static_cast<const Word*>(x.data), p, border);
    }
  });
}

/// The nearest bf16, ties to even, as its bits; NaN stays NaN.
std::uint16_t bf16_bits(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace

void concat(Array y, const ConstArray* inputs, int count, int axis) {
  if (y.elements() == 0) return;
  const auto size = static_cast<std::int64_t>(size_of(y.dtype));
  const std::int64_t rows = y.shape->product(0, axis), pitch = y.elements() / rows * size;
  std::int64_t column = 0;
  for (int i = 0; i < count;) {
    Inputs group;
    for (; i < count && group.count < Joint::kMost; ++i) {
      const std::int64_t bytes = inputs[i].elements() / rows * size;
      if (bytes == 0) continue;
      group.data[group.count] = static_cast<const char*>(inputs[i].data);
      group.bytes[group.count] = bytes;
      group.column[group.count++] = column;
      column += bytes;
    }
    if (group.count > 0) join(static_cast<char*>(y.data), group, rows, pitch);
  }
}

void pad(Array y, ConstArray x, const std::int64_t* low, double value) {
  GRADUS_ASSERT(x.dtype == y.dtype);
  if (y.elements() == 0) return;
  switch (y.dtype) {
    case DType::f32: return pad_with(y, x, low, static_cast<float>(value));
    case DType::f64: return pad_with(y, x, low, value);
    case DType::i64: return pad_with(y, x, low, static_cast<std::int64_t>(value));
    case DType::u8: return pad_with(y, x, low, static_cast<std::uint8_t>(value));
    case DType::boolean: return pad_with(y, x, low, static_cast<std::uint8_t>(value != 0));
    case DType::bf16: return pad_with(y, x, low, bf16_bits(static_cast<float>(value)));
  }
}

}  // namespace gradus::inline v0::cuda
