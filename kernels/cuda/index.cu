// Reading at computed positions (kernels/index.h): index_select, gather, one_hot, and the checks of an index. Sums are in index_add.cu.
//
// One thread an access: index_select moves whole rows in words of up to 16 bytes, gather single elements, one_hot writes 16 bytes at a
// time. An index out of range reads 0. Bytes: y once, what is read of x once, the index once (8 an element; index_select of long rows: 8 of
// each 512 bytes).

#include <gradus/kernels/index.h>

#include <gradus/kernels/cuda/index_axis.cuh>
#include <gradus/kernels/cuda/packs.cuh>
#include <gradus/kernels/cuda/partials.cuh>

namespace gradus::inline v0::cuda {
namespace {

/// y[o, j, k] = x[o, index[j], k], k counting words. Grid: words of y / 256; block: 256.
template <class Word, class I> __global__ void __launch_bounds__(kIndexThreads)
    select_words(Word* y, const Word* x, const std::int64_t* index, std::int64_t extent, std::int64_t inner, DividerOf<I> by_inner,
                 DividerOf<I> by_count, I total) {
  const I at = static_cast<I>(blockIdx.x) * kIndexThreads + threadIdx.x;
  if (at >= total) return;
  I outer = at;
  const I k = by_inner.split(outer), j = by_count.split(outer);
  const std::int64_t row = index[j];
  Word word = {};
  if (inside(row, extent)) word = x[(static_cast<std::int64_t>(outer) * extent + row) * inner + k];
  y[at] = word;
}

/// y[o, j, k] = x[o, index[o, j, k], k]. Grid: elements of y / 256; block: 256.
template <class Word, class I> __global__ void __launch_bounds__(kIndexThreads)
    gather_words(Word* y, const Word* x, const std::int64_t* index, std::int64_t extent, std::int64_t inner, DividerOf<I> by_inner,
                 DividerOf<I> by_count, I total) {
  const I at = static_cast<I>(blockIdx.x) * kIndexThreads + threadIdx.x;
  if (at >= total) return;
  I outer = at;
  const I k = by_inner.split(outer);
  by_count.split(outer);
  const std::int64_t row = index[at];
  Word word = {};
  if (inside(row, extent)) word = x[(static_cast<std::int64_t>(outer) * extent + row) * inner + k];
  y[at] = word;
}

/// Starts kernel<Word, I> over `total` words of y, which go `inner` to a step of the axis.
template <class Word, class Kernel32, class Kernel64> void launch_words(const char* op, Kernel32 narrow, Kernel64 wide, void* y,
                                                                        const void* x, const std::int64_t* index, std::int64_t extent,
                                                                        std::int64_t inner, std::int64_t count, std::int64_t total) {
  if (total == 0) return;
  const unsigned grid = blocks_for(total, kIndexThreads);
  Word* const to = static_cast<Word*>(y);
  const Word* const from = static_cast<const Word*>(x);
  if (total < (std::int64_t{1} << 31))
    launch(op, narrow, grid, kIndexThreads, 0, to, from, index, extent, inner, Divider(inner), Divider(count),
           static_cast<unsigned>(total));
  else
    launch(op, wide, grid, kIndexThreads, 0, to, from, index, extent, inner, WideDivider(inner), WideDivider(count),
           static_cast<std::uint64_t>(total));
}

/// f(a word of `bytes` bytes)
template <class F> void with_word(std::size_t bytes, const F& f) {
  switch (bytes) {
    case 1: return f(std::uint8_t{});
    case 2: return f(std::uint16_t{});
    case 4: return f(unsigned{});
    case 8: return f(uint2{});
    default: return f(uint4{});
  }
}

/// The largest word that rows of so many bytes and both addresses are made of.
std::size_t word_bytes(std::int64_t row_bytes, const void* y, const void* x) {
  const auto bits = static_cast<std::uintptr_t>(row_bytes) | reinterpret_cast<std::uintptr_t>(y) | reinterpret_cast<std::uintptr_t>(x) | 16;
  return bits & (~bits + 1);
}

/// y[e] = (index[e / K] == e % K). Grid: packs of y / 256; block: 256. A thread writes 16 bytes, of one row or of a few.
template <class T, class I> __global__ void __launch_bounds__(kIndexThreads)
    one_hot_packs(T* y, const std::int64_t* index, std::int64_t classes, DividerOf<I> by_classes, I total, bool aligned) {
  constexpr int kPack = Pack<T>::kCount;
  const I first = (static_cast<I>(blockIdx.x) * kIndexThreads + threadIdx.x) * kPack;
  if (first >= total) return;
  I row = first;
  std::int64_t column = static_cast<std::int64_t>(by_classes.split(row)), hot = index[row];
  const int count = total - first < kPack ? static_cast<int>(total - first) : kPack;
  Pack<T> pack;
#pragma unroll
  for (int j = 0; j < kPack; ++j) {
    pack.value[j] = static_cast<T>(column == hot);
    if (++column == classes && j + 1 < count) column = 0, hot = index[++row];
  }
  if (aligned && count == kPack) write_pack(y + first, pack);
  else
#pragma unroll
    for (int j = 0; j < kPack; ++j)
      if (j < count) y[first + j] = pack.value[j];
}

template <class T> void one_hot_of(T* y, const std::int64_t* index, std::int64_t total, std::int64_t classes) {
  if (total == 0) return;
  const unsigned grid = blocks_for(total, std::int64_t{kIndexThreads} * Pack<T>::kCount);
  if (total < (std::int64_t{1} << 31))
    launch("one_hot", one_hot_packs<T, unsigned>, grid, kIndexThreads, 0, y, index, classes, Divider(classes), static_cast<unsigned>(total),
           aligned16(y));
  else
    launch("one_hot", one_hot_packs<T, std::uint64_t>, grid, kIndexThreads, 0, y, index, classes, WideDivider(classes),
           static_cast<std::uint64_t>(total), aligned16(y));
}

// ---- checks --------------------------------------------------------------------------------------------------------------------------

constexpr unsigned kCheckBlocks = 1024;  // enough to fill the device; a thread then strides

/// *position = the least of itself and the positions that are out of range. Block: 256. The minimum of integers does not depend on order.
__global__ void __launch_bounds__(kIndexThreads)
    first_outside(unsigned long long* position, const std::int64_t* index, std::int64_t n, std::int64_t bound) {
  __shared__ unsigned long long scratch[kIndexThreads / kWarp];
  unsigned long long first = ~0ull;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kIndexThreads + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * kIndexThreads)
    if (first == ~0ull && !inside(index[i], bound)) first = static_cast<unsigned long long>(i);
  first = block_reduce<kIndexThreads>(first, scratch, [](unsigned long long a, unsigned long long b) { return b < a ? b : a; });
  if (threadIdx.x == 0 && first != ~0ull) atomicMin(position, first);
}

/// Notes one index out of range, unless a fault is noted already. Block: 256.
__global__ void __launch_bounds__(kIndexThreads)
    note_outside(Fault* fault, const std::int64_t* index, std::int64_t n, std::int64_t bound, int op) {
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kIndexThreads + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * kIndexThreads) {
    const std::int64_t value = index[i];
    if (inside(value, bound) || atomicCAS(&fault->claimed, 0ull, 1ull) != 0) continue;
    fault->op = op;
    fault->position = i;
    fault->value = value;
    fault->bound = bound;
  }
}

unsigned check_blocks(std::int64_t n) {
  const unsigned blocks = blocks_for(n, kIndexThreads);
  return blocks < kCheckBlocks ? blocks : kCheckBlocks;
}

}  // namespace

void index_select(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  const std::int64_t row_bytes = static_cast<std::int64_t>(size_of(y.dtype)) * to.inner;
  const std::size_t bytes = word_bytes(row_bytes, y.data, x.data);
  with_word(bytes, [&](auto word) {
    using Word = decltype(word);
    const std::int64_t inner = row_bytes / static_cast<std::int64_t>(sizeof(Word));
    launch_words<Word>("index_select", select_words<Word, unsigned>, select_words<Word, std::uint64_t>, y.data, x.data,
                       index.as<std::int64_t>(), from.extent, inner, to.extent, to.outer * to.extent * inner);
  });
}

void gather(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  with_word(size_of(y.dtype), [&](auto word) {
    using Word = decltype(word);
    if constexpr (sizeof(Word) <= 8)
      launch_words<Word>("gather", gather_words<Word, unsigned>, gather_words<Word, std::uint64_t>, y.data, x.data,
                         index.as<std::int64_t>(), from.extent, to.inner, to.extent, y.elements());
  });
}

void one_hot(Array y, ConstArray index) {
  const auto run = [&](auto* out) { one_hot_of(out, index.as<std::int64_t>(), y.elements(), y.shape->back()); };
  switch (y.dtype) {
    case DType::f32: return run(y.as<float>());
    case DType::f64: return run(y.as<double>());
    case DType::i64: return run(y.as<std::int64_t>());
    case DType::u8:
    case DType::boolean: return run(static_cast<std::uint8_t*>(y.data));
    case DType::bf16: GRADUS_ASSERT(false);
  }
}

std::int64_t first_out_of_range(ConstArray index, std::int64_t bound) {
  const std::int64_t n = index.elements();
  if (n == 0) return -1;
  void* const position = partials(sizeof(unsigned long long));
  fill_bytes(position, 0xFF, sizeof(unsigned long long));
  launch("first_out_of_range", first_outside, check_blocks(n), kIndexThreads, 0, static_cast<unsigned long long*>(position),
         index.as<std::int64_t>(), n, bound);
  std::int64_t first = -1;
  copy_to_host(&first, position, sizeof first);
  return first;
}

void note_out_of_range(ConstArray index, std::int64_t bound, const char* op) {
  const std::int64_t n = index.elements();
  if (n == 0) return;
  launch(op, note_outside, check_blocks(n), kIndexThreads, 0, device_fault(), index.as<std::int64_t>(), n, bound, note_op(op));
}

}  // namespace gradus::inline v0::cuda
