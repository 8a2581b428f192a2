// What softmax.cu and cross_entropy.cu share: lines of n numbers, each owned by a group of threads that holds it on the chip, so that it is
// read from memory once though it is needed two or three times.
//
//   group     who shares a line                          what holds it                       n
//   Lanes     1 to 32 lanes of a warp                    registers                           <= 1024 f32 in packs, 512 else
//   Block     256 threads                                shared memory, 48 KiB               <= 12,288 f32 (one array)
//   Columns   256 / width threads; neighbouring lines    shared memory                       <= 32 to 384 f32, by the width
//             in neighbouring threads (axes inside)
//   Sectors   64 of 512 threads; 8 neighbouring lines,   registers                           <= 4096 f32 (softmax), 2048 (log-softmax,
//             in neighbouring threads                                                        its gradient), 1024 (softmax's gradient)
// Longer lines are read again from the L2 cache. Which group, and who takes which number, follows from the shape alone: a line's bits
// depend on its numbers only.
#pragma once

#include <gradus/kernels/cuda/dynamic_shared.cuh>
#include <gradus/kernels/cuda/reduce_launch.cuh>

namespace gradus::inline v0::cuda {

inline constexpr int kLineThreads = 256;
/// Blocks of a multiprocessor that registers must suffice for. Told nothing (0), ptxas aims at more than fit with a line of f64, or with
/// one that takes most of a multiprocessor's registers, and spills.
template <class T, class G> inline constexpr int kLeastBlocks = sizeof(T) == 8 || G::kThreads > kLineThreads ? 1 : 0;
inline constexpr std::size_t kHoldBytes = 46 << 10;  // of the 48 KiB that every device has; the rest is scratch

// ---- groups --------------------------------------------------------------------------------------------------------------------------

/// `lanes` neighbouring lanes, a power of two. Lines beyond the last one have no numbers, but their lanes take part.
struct Lanes {
  template <class T> using Sum = T;  // of at most 32 terms a lane
  static constexpr int kThreads = kLineThreads;
  static constexpr int kScratch = 1;
  int lanes;

  __device__ int size() const { return lanes; }
  __device__ int member() const { return static_cast<int>(threadIdx.x) % lanes; }
  __device__ std::int64_t line() const { return (static_cast<std::int64_t>(blockIdx.x) * kLineThreads + threadIdx.x) / lanes; }
  template <class T, class F> __device__ T reduce(T v, double*, const F& f) const {
    for (int offset = lanes / 2; offset > 0; offset /= 2) v = f(v, from_lane(v, offset));
    return v;
  }
};

struct Block {
  template <class> using Sum = double;
  static constexpr int kThreads = kLineThreads;
  static constexpr int kScratch = kLineThreads / kWarp;  // numbers of f64 that hold any T

  __device__ int size() const { return kLineThreads; }
  __device__ int member() const { return static_cast<int>(threadIdx.x); }
  __device__ std::int64_t line() const { return blockIdx.x; }
  template <class T, class F> __device__ T reduce(T v, double* scratch, const F& f) const {
    v = block_reduce<kLineThreads>(v, reinterpret_cast<T*>(scratch), f);
    __syncthreads();  // the scratch is free again
    return v;
  }
};

/// `width` neighbouring lines, each owned by depth = 256 / width threads; powers of two.
struct Columns {
  template <class> using Sum = double;
  static constexpr int kThreads = kLineThreads;
  static constexpr int kScratch = kLineThreads;
  int width, depth;

  __device__ int size() const { return depth; }
  __device__ int member() const { return static_cast<int>(threadIdx.x) / width; }
  __device__ std::int64_t line() const { return static_cast<std::int64_t>(blockIdx.x) * width + threadIdx.x % width; }
  template <class T, class F> __device__ T reduce(T v, double* numbers, const F& f) const {
    if (depth == 1) return v;
    T* const scratch = reinterpret_cast<T*>(numbers);
    const int lane = static_cast<int>(threadIdx.x) % width;
    scratch[threadIdx.x] = v;
    __syncthreads();
    v = scratch[lane];
    for (int d = 1; d < depth; ++d) v = f(v, scratch[d * width + lane]);
    __syncthreads();  // the scratch is free again
    return v;
  }
};

/// Neighbouring lines of f32 as wide as a sector: the fewest that read whole sectors, and so the longest lines that a block can hold.
struct Sectors {
  template <class> using Sum = double;
  static constexpr int kThreads = 512, kWidth = 8, kScratch = kThreads / kWarp * kWidth;

  __device__ static constexpr int size() { return kThreads / kWidth; }
  __device__ int member() const { return static_cast<int>(threadIdx.x) / kWidth; }
  __device__ std::int64_t line() const { return static_cast<std::int64_t>(blockIdx.x) * kWidth + threadIdx.x % kWidth; }
  /// Within warps; then every warp takes what all of them have.
  template <class T, class F> __device__ T reduce(T v, double* numbers, const F& f) const {
    T* const scratch = reinterpret_cast<T*>(numbers);
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    v = across(v, f);
    if (lane < kWidth) scratch[static_cast<int>(threadIdx.x) / kWarp * kWidth + lane] = v;
    __syncthreads();
    v = scratch[lane];
#pragma unroll
    for (int i = kWarp; i < kScratch; i += kWarp) v = f(v, scratch[i + lane]);
    __syncthreads();
    return across(v, f);
  }

 private:
  template <class T, class F> __device__ static T across(T v, const F& f) {
#pragma unroll
    for (int offset = kWidth; offset < kWarp; offset *= 2) v = f(v, from_lane(v, offset));
    return v;
  }
};

template <class G, class T> __device__ inline T group_sum(const G& group, double* scratch, T v) {
  return group.reduce(v, scratch, [](T a, T b) { return a + b; });
}
/// NaN loses, unless there is nothing else: a NaN shows in the sums.
template <class G, class T> __device__ inline T group_max(const G& group, double* scratch, T v) {
  return group.reduce(v, scratch, [](T a, T b) { return b > a || a != a ? b : a; });
}
/// The sum of exp(x - largest) over the group, from what its members have; `largest` is the group's.
template <class G, class T, class A> __device__ inline A group_exp_sum(const G& group, double* scratch, const Two<T, A>& s, T largest) {
  return group_sum(group, scratch, s.a == largest ? s.b : s.b * static_cast<A>(::exp(s.a - largest)));
}

// ---- what holds a line ---------------------------------------------------------------------------------------------------------------

template <class T, int kPack, int kPacks> struct InRegisters {
  static constexpr int kUnroll = kPacks;  // the number of a member's packs
  static constexpr bool kHolds = true;
  T held[kPacks][kPack];

  __device__ InRegisters(std::int64_t, int) {}
  __device__ void put(int k, const T (&v)[kPack]) {
#pragma unroll
    for (int j = 0; j < kPack; ++j) held[k][j] = v[j];
  }
  __device__ void get(T (&v)[kPack], int k) const {
#pragma unroll
    for (int j = 0; j < kPack; ++j) v[j] = held[k][j];
  }
};

/// Every thread reads back only what it wrote, so nothing waits.
template <class T, int kPack> struct InShared {
  static constexpr int kUnroll = 0;  // not known
  static constexpr bool kHolds = true;
  T* held;

  /// Array number `which` of lines of n numbers.
  __device__ InShared(std::int64_t packs, int which)
      : held(reinterpret_cast<T*>(dynamic_shared()) + which * packs * kLineThreads * kPack) {}
  __device__ T* at(int k) const { return held + (static_cast<std::int64_t>(k) * kLineThreads + threadIdx.x) * kPack; }
  __device__ void put(int k, const T (&v)[kPack]) {
    if constexpr (kPack == 1) {
      *at(k) = v[0];
    } else {
      Pack<T> pack;
#pragma unroll
      for (int j = 0; j < kPack; ++j) pack.value[j] = v[j];
      write_shared_pack(at(k), pack);
    }
  }
  __device__ void get(T (&v)[kPack], int k) const { load_pack<kPack, (kPack > 1)>(v, at(k)); }
};

template <class T, int kPack> struct Nowhere {
  static constexpr int kUnroll = 0;
  static constexpr bool kHolds = false;
  __device__ Nowhere(std::int64_t, int) {}
  __device__ void put(int, const T (&)[kPack]) {}
  __device__ void get(T (&)[kPack], int) const {}
};

// ---- a line --------------------------------------------------------------------------------------------------------------------------

/// Lines of n numbers `inner` apart: number i of line l is at (l / inner) n inner + l % inner + i inner.
struct LineShape {
  std::int64_t lines, n, inner;
  std::int64_t packs;  // of a member, at most
  bool aligned;        // every operand, to 16 bytes

  std::size_t held_bytes(int pack, int arrays, std::size_t size_of_one) const {
    return static_cast<std::size_t>(packs * kLineThreads * pack * arrays) * size_of_one;
  }
};

/// A member's part of a line: packs member, member + size, ...
template <int kPack, int kUnroll> struct Part {
  std::int64_t base, n, inner;  // n = 0: beyond the last line
  int first, step;
  bool aligned;

  template <class G> __device__ Part(const G& group, const LineShape& s) : inner(s.inner), aligned(s.aligned) {
    const std::int64_t line = group.line();
    n = line < s.lines ? s.n : 0;
    base = inner == 1 ? line * s.n : line / inner * s.n * inner + line % inner;
    first = group.member() * kPack, step = group.size() * kPack;
  }
  /// f(k, i) for the member's k-th pack, whose numbers are i, i + 1, ...
  template <class F> __device__ void each(const F& f) const {
    if constexpr (kUnroll > 0) {
      int i = first;
#if defined(__CUDA_ARCH__)
      // As if i were new: or else the addresses of one visit, one for each number, are kept in registers for the next.
      if constexpr (kPack == 1) asm volatile("" : "+r"(i));
#endif
#pragma unroll
      for (int k = 0; k < kUnroll; ++k, i += step)
        if (i < n) f(k, static_cast<std::int64_t>(i));
    } else {
      int k = 0;
#pragma unroll 4
      for (std::int64_t i = first; i < n; i += step) f(k++, i);
    }
  }
  /// f(whole, k, i): whole is a constant, whether the pack may be moved by one access.
  template <class F> __device__ void each_access(const F& f) const {
    if constexpr (kPack > 1) {
      if (aligned) return each([&](int k, std::int64_t i) { f(std::true_type(), k, i); });
    }
    each([&](int k, std::int64_t i) { f(std::false_type(), k, i); });
  }
  __device__ std::int64_t at(std::int64_t i) const { return base + i * inner; }
};

template <int kPack, class T> __device__ inline T pack_sum(const T (&v)[kPack]) { return tree_sum<kPack>(v); }

/// dx = rule.result(a, b, sum of rule.term(a, b)), where a is rule.first(da) and both are read once if they are held (b only if the terms
/// need it). Grid: lines / lines of a block; block: 256. Bytes: 12.
template <class Rule, class Hold, int kPack, class T, class G> __global__ void __launch_bounds__(G::kThreads, kLeastBlocks<T, G>)
    line_backward(T* dx, const T* first, const T* second, Rule rule, LineShape shape, G group) {
  __shared__ double scratch[G::kScratch];
  const Part<kPack, Hold::kUnroll> part(group, shape);
  Hold a(shape.packs, 0), b(shape.packs, 1);
  if (part.n > 0) rule.begin(group.line());
  const auto load_first = [&](auto whole, T(&v)[kPack], std::int64_t i) {
    load_pack<kPack, decltype(whole)::value>(v, first + part.at(i));
#pragma unroll
    for (int j = 0; j < kPack; ++j) v[j] = rule.first(v[j], i + j);
  };
  typename G::template Sum<T> sum = 0;
  const auto add = [&](T(&u)[kPack], const T(&v)[kPack]) {
#pragma unroll
    for (int j = 0; j < kPack; ++j) u[j] = rule.term(u[j], v[j]);
    sum += pack_sum(u);
  };
  part.each_access([&](auto whole, int k, std::int64_t i) {
    T u[kPack];
    [[maybe_unused]] T v[kPack] = {};
    load_first(whole, u, i);
    if constexpr (Rule::kTermNeedsSecond) load_pack<kPack, decltype(whole)::value>(v, second + part.at(i));
    if constexpr (Hold::kHolds) {
      a.put(k, u);
      if constexpr (Rule::kTermNeedsSecond) b.put(k, v);
    } else {
      add(u, v);
    }
  });
  if constexpr (Hold::kHolds) {
    part.each([&](int k, std::int64_t) {
      T u[kPack], v[kPack] = {};
      a.get(u, k);
      if constexpr (Rule::kTermNeedsSecond) b.get(v, k);
      add(u, v);
    });
  }
  const T total = static_cast<T>(group_sum(group, scratch, sum));
  part.each_access([&](auto whole, int k, std::int64_t i) {
    T u[kPack], v[kPack];
    if constexpr (Hold::kHolds) a.get(u, k);
    else load_first(whole, u, i);
    if constexpr (Hold::kHolds && Rule::kTermNeedsSecond) b.get(v, k);
    else load_pack<kPack, decltype(whole)::value>(v, second + part.at(i));
#pragma unroll
    for (int j = 0; j < kPack; ++j) v[j] = rule.result(u[j], v[j], total);
    store_pack<kPack, decltype(whole)::value>(dx + part.at(i), v);
  });
}

// ---- launching -----------------------------------------------------------------------------------------------------------------------

/// Calls start(group, a pointer to a Hold, kPack as a constant, grid, shape, shared bytes) with what suits rows of neighbours. kArrays are
/// to be held.
template <class T, int kArrays, class F> void with_lines(LineShape shape, const F& start) {
  const auto rows = [&](auto pack) {
    constexpr int kPack = decltype(pack)::value;
    constexpr int kMost = kPack == 4 ? 32 : 16;  // numbers of a lane; more of them cost too many registers
    if (shape.n <= kMost * kWarp) {
      const Lanes lanes{lanes_for(shape.n, kPack)};
      const std::int64_t each = ceil_div(shape.n, lanes.lanes * kPack) * kPack;  // numbers of a lane
      const unsigned grid = blocks_for(shape.lines * lanes.lanes, kLineThreads);
      const auto with = [&](auto* hold) { start(lanes, hold, pack, grid, shape, std::size_t{0}); };
      if (each <= 4) with(static_cast<InRegisters<T, kPack, 4 / kPack>*>(nullptr));
      else if (each <= 16) with(static_cast<InRegisters<T, kPack, 16 / kPack>*>(nullptr));
      else if constexpr (kMost > 16) with(static_cast<InRegisters<T, kPack, 32 / kPack>*>(nullptr));
      return;
    }
    shape.packs = ceil_div(shape.n, kLineThreads * kPack);
    const std::size_t bytes = shape.held_bytes(kPack, kArrays, sizeof(T));
    const auto grid = static_cast<unsigned>(shape.lines);
    if (bytes <= kHoldBytes) start(Block(), static_cast<InShared<T, kPack>*>(nullptr), pack, grid, shape, bytes);
    else start(Block(), static_cast<Nowhere<T, kPack>*>(nullptr), pack, grid, shape, std::size_t{0});
  };
  constexpr int kWide = Pack<T>::kCount;
  if (shape.n % kWide == 0) rows(std::integral_constant<int, kWide>());
  else rows(std::integral_constant<int, 1>());
}

/// The same for lines beside each other. A number of a line keeps kLive registers of f32 busy.
template <class T, int kArrays, int kLive, class F> void with_columns(LineShape shape, const F& start) {
  Columns columns{kLineThreads, 1};
  if (shape.n > kWarp) {
    columns.width = 1;
    while (columns.width < kWarp && columns.width < shape.inner) columns.width *= 2;
    columns.depth = kLineThreads / columns.width;
  }
  shape.packs = ceil_div(shape.n, columns.depth);
  const std::size_t bytes = shape.held_bytes(1, kArrays, sizeof(T));
  const unsigned grid = blocks_for(shape.lines, columns.width);
  const std::integral_constant<int, 1> one;
  if (bytes <= kHoldBytes) return start(columns, static_cast<InShared<T, 1>*>(nullptr), one, grid, shape, bytes);
  if constexpr (sizeof(T) == 4) {
    constexpr int kEach = 64 / kLive;  // numbers of a thread: they take half of its 128 registers
    if (shape.n <= kEach * Sectors::size())
      return start(Sectors(), static_cast<InRegisters<T, 1, kEach>*>(nullptr), one, blocks_for(shape.lines, Sectors::kWidth), shape,
                   std::size_t{0});
  }
  start(columns, static_cast<Nowhere<T, 1>*>(nullptr), one, grid, shape, std::size_t{0});
}

/// Lines of either kind; kLive = 0: rows only.
template <class T, int kArrays, int kLive, class F> void with_group(const LineShape& shape, const F& start) {
  if (shape.lines == 0 || shape.n == 0) return;
  if (shape.inner == 1) with_lines<T, kArrays>(shape, start);
  else if constexpr (kLive > 0) with_columns<T, kArrays, kLive>(shape, start);
}

template <class Rule, class T>
void launch_line_backward(const char* op, T* dx, const T* first, const T* second, const Rule& rule, const LineShape& shape) {
  constexpr int kArrays = Rule::kTermNeedsSecond ? 2 : 1;
  with_group<T, kArrays, Rule::kRowsOnly ? 0 : 2 * kArrays>(
      shape, [&](auto group, auto* hold, auto pack, unsigned grid, const LineShape& s, std::size_t bytes) {
        using Hold = std::remove_pointer_t<decltype(hold)>;
        launch(op, line_backward<Rule, Hold, decltype(pack)::value, T, decltype(group)>, grid, group.kThreads, bytes, dx, first, second,
               rule, s, group);
      });
}

}  // namespace gradus::inline v0::cuda
