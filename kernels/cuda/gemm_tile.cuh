// What tiled products share: how a block's tile of c is divided among threads, how panels of a and b reach shared memory by asynchronous
// copies, and the loop over depth that keeps two steps in flight. gemm.cu and convolution*.cu differ in where panels come from and where
// c goes.
//
// A block computes c[kRows, kColumns] += a[kRows, depth] b[depth, kColumns]. A step is 64 bytes of depth (16 f32, 8 f64): two sectors of a
// row that runs along depth. Of the tile a thread owns kThreadRows x kThreadColumns elements, in groups of W neighbours (16 bytes) that lie
// a whole stride apart, so that the 8 lanes of a quarter-warp read 128 neighbouring bytes of shared memory.
#pragma once

#include <gradus/kernels/cuda/launch.cuh>

namespace gradus::inline v0::cuda::product {

/// How a panel of a or b lies in shared memory: depth-major rows [depth][extent], or each row along depth [extent][depth].
enum class Along { extent, depth };

template <class Element, int kTileRows, int kTileColumns, int kRowsOfThread, int kColumnsOfThread> struct Tile {
  using T = Element;
  static constexpr int kW = Pack<T>::kCount;
  static constexpr int kRows = kTileRows, kColumns = kTileColumns;
  static constexpr int kThreadRows = kRowsOfThread, kThreadColumns = kColumnsOfThread;
  static constexpr int kDepth = 64 / static_cast<int>(sizeof(T));
  static constexpr int kThreads = kRows / kThreadRows * (kColumns / kThreadColumns);
  static constexpr bool kLarge = kThreadRows * kThreadColumns * sizeof(T) >= 256;    // bytes of accumulators: half of a thread's registers
  static constexpr int kBlocks = (kLarge || sizeof(T) == 8 ? 512 : 768) / kThreads;  // on a multiprocessor: 128 registers a thread, or 80
  // Lanes of a warp along columns and rows: 8 x 4, so that a row of c is written 128 bytes at a time.
  static constexpr int kLaneColumns = kColumns / kThreadColumns < 8 ? kColumns / kThreadColumns : 8, kLaneRows = kWarp / kLaneColumns;
  static constexpr int kRowStride = kRows / (kThreadRows / kW), kColumnStride = kColumns / (kThreadColumns / kW);
  static_assert(kThreads % kWarp == 0 && kThreadRows % kW == 0 && kThreadColumns % kW == 0);

  /// The first row (column) of this thread; group i of W rows begins at row() + i * kRowStride.
  static __device__ int row() {
    constexpr int kWarpColumns = kColumns / kThreadColumns / kLaneColumns;
    const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
    return (warp / kWarpColumns * kLaneRows + lane / kLaneColumns) * kW;
  }
  static __device__ int column() {
    constexpr int kWarpColumns = kColumns / kThreadColumns / kLaneColumns;
    const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
    return (warp % kWarpColumns * kLaneColumns + lane % kLaneColumns) * kW;
  }
  static __device__ constexpr int row_of(int i) { return i / kW * kRowStride + i % kW; }
  static __device__ constexpr int column_of(int j) { return j / kW * kColumnStride + j % kW; }
};

/// A panel in shared memory. Along depth, 16 bytes are left free after every W rows: the rows that 8 lanes read, W apart, then begin in
/// different banks. at(i + j, k) = at(i, 0) + at(j, k) where W divides i or j: a thread computes one address, the rest are constants.
template <class T, int kPanelExtent, Along kPanelAlong> struct Panel {
  static constexpr Along kAlong = kPanelAlong;
  static constexpr int kExtent = kPanelExtent, kW = Pack<T>::kCount, kDepth = 64 / static_cast<int>(sizeof(T));
  static constexpr int kSize = kExtent * kDepth + (kAlong == Along::depth ? kExtent : 0);
  static __device__ constexpr int at(int i, int k) { return kAlong == Along::depth ? i * kDepth + i / kW * kW + k : k * kExtent + i; }
};

/// kSteps elements, moved by one access.
template <class T, int kSteps> struct alignas(kSteps * sizeof(T)) Steps { T value[kSteps]; };

/// Copies kCount elements (16 bytes, or one element) to shared memory in the background; elements from `valid` on become zero and are not
/// read. Before sm_80 the copy is made at once.
template <int kCount, class T> __device__ inline void copy_async(T* to, const T* from, int valid) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = valid * static_cast<int>(sizeof(T));
  if constexpr (kCount * sizeof(T) == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
  else if constexpr (sizeof(T) == 8)
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
#else
  Steps<T, kCount> v;
  if (valid == kCount) {
    v = *reinterpret_cast<const Steps<T, kCount>*>(from);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) v.value[i] = i < valid ? from[i] : T(0);
  }
  *reinterpret_cast<Steps<T, kCount>*>(to) = v;
#endif
}
/// Waits for this thread's copies. The others' are there after a barrier.
__device__ inline void wait_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// How the threads of a block share the copy of one step of a panel whose source has rows (lines): a line along depth is a row of the
/// panel, along the extent one step of depth. A thread copies the same kCount neighbours of several lines, kLines apart.
template <class Layout, int kThreads, int kCount> struct Piece {
  static constexpr bool kAlongDepth = Layout::kAlong == Along::depth;
  static constexpr int kLine = (kAlongDepth ? Layout::kDepth : Layout::kExtent) / kCount, kLines = kThreads / kLine;
  static constexpr int kAll = kAlongDepth ? Layout::kExtent : Layout::kDepth, kCopies = (kAll + kLines - 1) / kLines;
  static_assert(kThreads % kLine == 0 && (kLines % Layout::kW == 0 || !kAlongDepth));

  static __device__ int line() { return static_cast<int>(threadIdx.x) / kLine; }
  static __device__ int at() { return static_cast<int>(threadIdx.x) % kLine * kCount; }
  /// Where in the panel copy n of this thread goes, given to = start(panel).
  template <class T> static __device__ T* start(T* panel) {
    return panel + (kAlongDepth ? Layout::at(line(), at()) : Layout::at(at(), line()));
  }
  static __device__ constexpr int offset(int n) { return kAlongDepth ? Layout::at(n * kLines, 0) : Layout::at(0, n * kLines); }
  /// Whether copy n exists: the last may pass the panel's end.
  static __device__ bool inside(int n) { return kAll % kLines == 0 || line() + n * kLines < kAll; }

  /// Copies this thread's pieces: the first at `from`, lines `stride` elements apart; `lines` of them exist, each with `length` elements.
  template <class T> static __device__ void copy(T* panel, const T* from, std::int64_t stride, int lines, int length) {
    const int left = length - at() < kCount ? (length > at() ? length - at() : 0) : kCount;
    T* const to = start(panel);
#pragma unroll(kCount == 1 ? 1 : kCopies)
    for (int n = 0; n < kCopies; ++n, from += kLines * stride)
      if (inside(n)) copy_async<kCount>(to + offset(n), from, line() + n * kLines < lines ? left : 0);
  }
};

/// A panel that is a part of a stored matrix: element (i, k) is data[i * ld + k] along depth, data[k * ld + i] along the extent. copy()
/// takes one step of depth after the other, with a pointer that walks. kVectorsOnly leaves out the copy by elements, which costs registers.
template <class T, int kPanelExtent, int kThreads, Along kPanelAlong, bool kVectorsOnly = false> class MatrixPanel
    : public Panel<T, kPanelExtent, kPanelAlong> {
  using Layout = Panel<T, kPanelExtent, kPanelAlong>;
  static constexpr bool kAlongDepth = kPanelAlong == Along::depth;

 public:
  using Vectors = Piece<Layout, kThreads, Layout::kW>;
  using Elements = Piece<Layout, kThreads, 1>;

  /// `rows` exist; by_vectors: data and ld are multiples of 16 bytes.
  __device__ MatrixPanel(const T* data, std::int64_t ld, int rows, bool by_vectors)
      : ld_(ld), extent_(rows), vector_(kVectorsOnly || by_vectors) {
    from_ = vector_ ? data + Vectors::line() * ld + Vectors::at() : data + Elements::line() * ld + Elements::at();
  }

  __device__ void copy(T* to, int k0, int depth) {
    const int lines = kAlongDepth ? extent_ : depth - k0, length = kAlongDepth ? depth - k0 : extent_;
    if (vector_) Vectors::copy(to, from_, ld_, lines, length);
    else Elements::copy(to, from_, ld_, lines, length);
    from_ += kAlongDepth ? Layout::kDepth : Layout::kDepth * ld_;
  }

 private:
  const T* from_;
  std::int64_t ld_;
  int extent_;
  bool vector_;
};

/// f[kk][i] = the thread's row i of a panel at depth kk, for several steps at once: rows lie along depth.
template <class Layout, int kStride, class T, int kSteps, int kCount>
__device__ inline void read_steps(T (&f)[kSteps][kCount], const T* panel) {
  constexpr int W = Pack<T>::kCount;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const auto p = *reinterpret_cast<const Steps<T, kSteps>*>(panel + Layout::at(i / W * kStride + i % W, 0));
#pragma unroll
    for (int kk = 0; kk < kSteps; ++kk) f[kk][i] = p.value[kk];
  }
}
/// f[i] = the thread's row i of a panel whose rows are depth-major: one step.
template <class Layout, int kStride, class T, int kCount> __device__ inline void read_step(T (&f)[kCount], const T* panel) {
  constexpr int W = Pack<T>::kCount;
#pragma unroll
  for (int group = 0; group < kCount / W; ++group) {
    const Pack<T> p = *reinterpret_cast<const Pack<T>*>(panel + Layout::at(group * kStride, 0));
#pragma unroll
    for (int i = 0; i < W; ++i) f[group * W + i] = p.value[i];
  }
}

template <int kThreadRows, int kThreadColumns, class T>
__device__ inline void add_products(T (&acc)[kThreadRows][kThreadColumns], const T (&a)[kThreadRows], const T (&b)[kThreadColumns]) {
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < kThreadColumns; ++j) acc[i][j] = fma(a[i], b[j], acc[i][j]);
}
/// acc += one step of the loop over depth. Every output takes its products in the order of k. What a thread holds beside its accumulators
/// decides whether 128 registers are enough for 64 of them: of an operand along depth kSteps steps of its rows, of one along the extent one
/// step; two along depth are read W steps of a and then column by column of b.
template <class Tile, class A, class B>
__device__ inline void multiply_step(typename Tile::T (&acc)[Tile::kThreadRows][Tile::kThreadColumns], const typename Tile::T* a,
                                     const typename Tile::T* b) {
  using T = typename Tile::T;
  constexpr bool kDepthA = A::kAlong == Along::depth, kDepthB = B::kAlong == Along::depth;
  constexpr int kSteps = Tile::kLarge && kDepthA != kDepthB ? 2 : Tile::kW;
  a += A::at(Tile::row(), 0), b += B::at(Tile::column(), 0);
#pragma unroll 1  // unrolled, the compiler reads ahead into registers that are not there
  for (int k = 0; k < Tile::kDepth; k += kSteps) {
    [[maybe_unused]] T a_steps[kSteps][Tile::kThreadRows], b_steps[kSteps][Tile::kThreadColumns];
    if constexpr (kDepthA) read_steps<A, Tile::kRowStride>(a_steps, a + A::at(0, k));
    else if constexpr (kDepthB) read_steps<B, Tile::kColumnStride>(b_steps, b + B::at(0, k));
    if constexpr (kDepthA && kDepthB) {
#pragma unroll
      for (int j = 0; j < Tile::kThreadColumns; ++j) {
        const auto p = *reinterpret_cast<const Steps<T, kSteps>*>(b + B::at(Tile::column_of(j), k));
#pragma unroll
        for (int kk = 0; kk < kSteps; ++kk)
#pragma unroll
          for (int i = 0; i < Tile::kThreadRows; ++i) acc[i][j] = fma(a_steps[kk][i], p.value[kk], acc[i][j]);
      }
    } else {
#pragma unroll
      for (int kk = 0; kk < kSteps; ++kk) {
        [[maybe_unused]] T a_step[Tile::kThreadRows], b_step[Tile::kThreadColumns];
        if constexpr (!kDepthA) read_step<A, Tile::kRowStride>(a_step, a + A::at(0, k + kk));
        if constexpr (!kDepthB) read_step<B, Tile::kColumnStride>(b_step, b + B::at(0, k + kk));
        if constexpr (kDepthA) add_products(acc, a_steps[kk], b_step);
        else if constexpr (kDepthB) add_products(acc, a_step, b_steps[kk]);
        else add_products(acc, a_step, b_step);
      }
    }
  }
}

/// Two steps of both panels.
template <class Tile, class A, class B> struct Stages {
  alignas(16) typename Tile::T a[2][A::kSize];
  alignas(16) typename Tile::T b[2][B::kSize];
};

/// acc = the product over `depth`, of panels that stand at its begin. While one step is multiplied the next is copied; one barrier a step
/// tells both that everybody's copies of the former have arrived and that nobody reads what the latter will overwrite.
template <class Tile, class A, class B> __device__ inline void multiply(typename Tile::T (&acc)[Tile::kThreadRows][Tile::kThreadColumns],
                                                                        A a, B b, Stages<Tile, A, B>& stages, int depth) {
#pragma unroll
  for (int i = 0; i < Tile::kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kThreadColumns; ++j) acc[i][j] = 0;
  int stage = 0;
  for (int k = 0; k < depth + Tile::kDepth; k += Tile::kDepth, stage ^= 1) {
    wait_copies();
    __syncthreads();
    if (k < depth) {
      a.copy(stages.a[stage], k, depth);
      b.copy(stages.b[stage], k, depth);
    }
    if (k > 0) multiply_step<Tile, A, B>(acc, stages.a[stage ^ 1], stages.b[stage ^ 1]);
  }
}

/// The end of a chain: one that underflowed to -0 becomes 0, as the zeros that pad a last step of depth would have made it.
template <class T> __device__ inline T chain_end(T sum) { return sum + T(0); }

/// A row-major matrix to which a tile goes. `vector`: its rows begin at 16 bytes and have whole vectors; `add`: to what is there.
template <class T> struct Output {
  T* data;
  std::int64_t ld;
  const T* bias;  // of the tile's columns, or null
  int rows, columns;
  bool vector, add;
};

template <class T> __device__ inline T output_of(const Output<T>& out, T sum, T before, int column) {
  T v = chain_end(sum);
  if (out.add) v = before + v;
  return out.bias ? v + out.bias[column] : v;
}

template <class Tile, class T>
__device__ inline void store_vectors(const Output<T>& out, const T (&acc)[Tile::kThreadRows][Tile::kThreadColumns], int row, int column) {
  constexpr int W = Tile::kW;
#pragma unroll
  for (int i = 0; i < Tile::kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kThreadColumns; j += W) {
      const int to_row = row + Tile::row_of(i), to_column = column + Tile::column_of(j);
      if (to_row >= out.rows || to_column >= out.columns) continue;
      auto* const to = reinterpret_cast<Pack<T>*>(out.data + to_row * out.ld + to_column);
      Pack<T> v{};
      if (out.add) v = *to;
#pragma unroll
      for (int w = 0; w < W; ++w) v.value[w] = output_of(out, acc[i][j + w], v.value[w], to_column + w);
      *to = v;
    }
}
/// Element by element, for rows that begin anywhere.
template <class Tile, class T>
__device__ inline void store_elements(const Output<T>& out, const T (&acc)[Tile::kThreadRows][Tile::kThreadColumns], int row, int column) {
#pragma unroll
  for (int i = 0; i < Tile::kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kThreadColumns; ++j) {
      const int to_row = row + Tile::row_of(i), to_column = column + Tile::column_of(j);
      if (to_row >= out.rows || to_column >= out.columns) continue;
      T* const to = out.data + to_row * out.ld + to_column;
      *to = output_of(out, acc[i][j], out.add ? *to : T(0), to_column);
    }
}

}  // namespace gradus::inline v0::cuda::product
