// Copies along strided walks: slice, flip, and their like; slice_add; broadcast_to. Any dtype, by its size.
//
//   y[i] = x[offset + sum over axes of index_a(i) stride_a]
//
// Where the innermost axis of both sides is contiguous, words of up to 16 bytes are moved, the largest that divides everything.

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/cuda/shape.cuh>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0::cuda {
namespace {

// ---- kernels ---------------------------------------------------------------------------------------------------------------------------

/// Grid: 1024 words of y a block of 256. A thread: four words, 256 apart. Moves x's words and y once.
template <class Word> __global__ void __launch_bounds__(kCopyThreads) copy_kernel(Word* y, const Word* x, unsigned words, DeviceWalk walk) {
  const unsigned first = blockIdx.x * (kCopyThreads * kCopyBatch) + threadIdx.x;
  Word value[kCopyBatch];
#pragma unroll
  for (int k = 0; k < kCopyBatch; ++k)
    if (const unsigned i = first + k * kCopyThreads; i < words) value[k] = x[walk.offset(i)];
#pragma unroll
  for (int k = 0; k < kCopyBatch; ++k)
    if (const unsigned i = first + k * kCopyThreads; i < words) y[i] = value[k];
}

/// Grid: 512 packs of x a block of 256. A thread: two packs. Moves x once, the window of y twice.
template <class Pack> __global__ void __launch_bounds__(kCopyThreads) add_kernel(Pack* y, const Pack* x, unsigned packs, DeviceWalk walk) {
  constexpr int kBatch = 2;
  constexpr int kCount = static_cast<int>(sizeof(Pack) / sizeof(x->at[0]));
  const unsigned first = blockIdx.x * (kCopyThreads * kBatch) + threadIdx.x;
  Pack term[kBatch], sum[kBatch];
  std::int64_t at[kBatch];
#pragma unroll
  for (int b = 0; b < kBatch; ++b)
    if (const unsigned i = first + b * kCopyThreads; i < packs) {
      at[b] = walk.offset(i);
      term[b] = x[i];
      sum[b] = y[at[b]];
    }
#pragma unroll
  for (int b = 0; b < kBatch; ++b)
    if (first + b * kCopyThreads < packs) {
#pragma unroll
      for (int k = 0; k < kCount; ++k) sum[b].at[k] += term[b].at[k];
      y[at[b]] = sum[b];
    }
}

template <class T> struct Identity {
  static __device__ T identity(T x) { return x; }
};

// ---- launchers -------------------------------------------------------------------------------------------------------------------------

/// The window of `array` with the extents of `window`.
CopyWalk window_walk(const Shape& array, const Shape& window, const std::int64_t* starts, const std::int64_t* steps) {
  const ArrayStrides strides(array);
  CopyWalk walk;
  for (int a = 0; a < window.rank(); ++a) {
    GRADUS_ASSERT(steps[a] > 0 && starts[a] >= 0 && (window[a] == 0 || starts[a] + (window[a] - 1) * steps[a] < array[a]));
    walk.offset += starts[a] * strides.of[a];
    walk.push(window[a], steps[a] * strides.of[a]);
  }
  return walk;
}

template <class T> void broadcast_elements(const Array& y, const ConstArray& x) {
  broadcast<T, T>("broadcast_to", Apply<Identity<T>::identity>(), y, {x});
}

}  // namespace

void copy_walk(const char* op, void* y, const void* x, const CopyWalk& walk, std::int64_t size) {
  const std::int64_t n = walk.elements();
  if (n == 0) return;
  if (walk.contiguous()) return copy_within(y, static_cast<const char*>(x) + walk.offset * size, static_cast<std::size_t>(n * size));
  const int bytes = word_of(walk, size, y, x);
  with_word(bytes, [&](auto word) {
    using Word = decltype(word);
    in_parts(in_words(walk, bytes / size), 0, [&](const CopyWalk& part, std::int64_t position) {
      const auto words = static_cast<unsigned>(part.elements());
      launch(op, copy_kernel<Word>, blocks_for(words, kCopyThreads * kCopyBatch), kCopyThreads, 0, static_cast<Word*>(y) + position,
             static_cast<const Word*>(x) + part.offset, words, DeviceWalk(part));
    });
  });
}

void slice(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps) {
  copy_walk("slice", y.data, x.data, window_walk(*x.shape, *y.shape, starts, steps), static_cast<std::int64_t>(size_of(y.dtype)));
}

void flip(Array y, ConstArray x, unsigned axes) {
  const ArrayStrides strides(*x.shape);
  CopyWalk walk;
  for (int a = 0; a < x.shape->rank(); ++a) {
    const std::int64_t n = (*x.shape)[a];
    const bool reversed = (axes >> a & 1u) != 0;
    if (reversed) walk.offset += (n - 1) * strides.of[a];
    walk.push(n, reversed ? -strides.of[a] : strides.of[a]);
  }
  copy_walk("flip", y.data, x.data, walk, static_cast<std::int64_t>(size_of(y.dtype)));
}

void broadcast_to(Array y, ConstArray x) {
  GRADUS_ASSERT(x.dtype == y.dtype);
  switch (size_of(y.dtype)) {
    case 1: return broadcast_elements<std::uint8_t>(y, x);
    case 2: return broadcast_elements<std::uint16_t>(y, x);
    case 4: return broadcast_elements<std::uint32_t>(y, x);
    default: return broadcast_elements<std::uint64_t>(y, x);
  }
}

void slice_add(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps) {
  if (x.elements() == 0) return;
  const CopyWalk walk = window_walk(*y.shape, *x.shape, starts, steps);
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto add = [&](auto pack) {
      using Pack = decltype(pack);
      in_parts(in_words(walk, static_cast<std::int64_t>(sizeof(Pack) / sizeof(T))), 0, [&](const CopyWalk& part, std::int64_t position) {
        const auto packs = static_cast<unsigned>(part.elements());
        launch("slice_add", add_kernel<Pack>, blocks_for(packs, kCopyThreads * 2), kCopyThreads, 0,
               reinterpret_cast<Pack*>(y.as<T>()) + part.offset, reinterpret_cast<const Pack*>(x.as<T>()) + position, packs,
               DeviceWalk(part));
      });
    };
    if (word_of(walk, sizeof(T), x.data, y.data) == 16) add(Elements<T, 16 / sizeof(T)>());
    else add(Elements<T, 1>());
  });
}

}  // namespace gradus::inline v0::cuda
