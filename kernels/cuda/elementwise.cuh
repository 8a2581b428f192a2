// y[i] = f(x[i]...), the one template of every elementwise kernel: 16 bytes an access, a scalar tail, broadcasting by stride.
//
// Three kernels, chosen on the host by the operands' shapes:
//   map      every operand is as large as y or is one element; any size, any alignment
//   rows     y [rows, N], at most two operands, one of them [N] (a bias beside a batch), which a thread reads once for 16 rows
//   strided  everything else, after axes that can be one are merged: an operand's offset is a sum of index times stride
// An element's value depends on its operands alone, so the choice never shows in the bits. y may be an operand of its own shape: a thread
// reads what it needs before it writes. Therefore no __restrict__ here.
#pragma once

#include <initializer_list>
#include <utility>

#include <gradus/kernels/broadcast_plan.h>
#include <gradus/kernels/cuda/divider.cuh>
#include <gradus/kernels/cuda/launch.cuh>

namespace gradus::inline v0::cuda {

inline constexpr int kElementThreads = 256;
/// Rows whose loads are in flight together. Packs of 8 and 16 small elements would not fit into registers.
template <int kCount> inline constexpr int kRowBatch = kCount <= 4 ? 4 : 1;
inline constexpr unsigned kMostRowBatch = 4;

// ---- packs: kCount elements of T by one access of 1 to 16 bytes ------------------------------------------------------------------------

template <int kBytes> struct Access;
template <> struct Access<1> { using Type = std::uint8_t; };
template <> struct Access<2> { using Type = std::uint16_t; };
template <> struct Access<4> { using Type = unsigned; };
template <> struct Access<8> { using Type = uint2; };
template <> struct Access<16> { using Type = uint4; };

template <class T, int kCount> struct alignas(sizeof(T) * kCount) Elements { T at[kCount]; };

template <int kCount, class T> __device__ inline Elements<T, kCount> load(const T* x) {
  using Bits = typename Access<static_cast<int>(sizeof(T)) * kCount>::Type;
  return __builtin_bit_cast(Elements<T, kCount>, *reinterpret_cast<const Bits*>(x));
}
template <int kCount, class T> __device__ inline void store(T* y, const Elements<T, kCount>& v) {
  *reinterpret_cast<Elements<T, kCount>*>(y) = v;
}
template <int kCount, class T> __device__ inline Elements<T, kCount> repeat(T value) {
  Elements<T, kCount> v;
#pragma unroll
  for (int k = 0; k < kCount; ++k) v.at[k] = value;
  return v;
}
template <class Out, int kCount, class F, class... In>
__device__ inline Elements<Out, kCount> apply(const F& f, const Elements<In, kCount>&... x) {
  Elements<Out, kCount> y;
#pragma unroll
  for (int k = 0; k < kCount; ++k) y.at[k] = f(x.at[k]...);
  return y;
}

/// Elements a thread takes at a time: 16 bytes of the largest type.
template <class... T> constexpr int pack_of() {
  int largest = 1;
  ((largest = static_cast<int>(sizeof(T)) > largest ? static_cast<int>(sizeof(T)) : largest), ...);
  return 16 / largest;
}

// ---- map -------------------------------------------------------------------------------------------------------------------------------

/// How n elements are shared out: thread i < packs takes a pack, the others one element each, before `head` and after the packs.
struct Split {
  std::int64_t elements = 0, head = 0, packs = 0;

  struct Pointer {
    const void* data;
    std::size_t size;  // of an element
  };
  /// The first pointer chooses the head; where another is misaligned there, nothing is packed.
  Split(std::int64_t n, int pack, std::initializer_list<Pointer> pointers) : elements(n) {
    std::int64_t skip = -1;
    for (const auto& [data, size] : pointers) {
      const auto bytes = static_cast<std::uintptr_t>(pack) * size, past = reinterpret_cast<std::uintptr_t>(data) % bytes;
      if (skip < 0) skip = static_cast<std::int64_t>((bytes - past) % bytes / size);
      if ((past + static_cast<std::uintptr_t>(skip) * size) % bytes != 0) return;
    }
    if (skip >= n) return;
    head = skip;
    packs = (n - skip) / pack;
  }
  __host__ __device__ std::int64_t threads(int pack) const { return packs + (elements - packs * pack); }
  /// The single element of thread i >= packs, counted from the head on as everything in the kernel is.
  __device__ std::int64_t single(std::int64_t i, int pack) const {
    const std::int64_t e = i - packs - head;
    return e < 0 ? e : e + packs * pack;
  }
};

/// An operand of map: as large as y, or (Operand only) one element.
template <class T> struct Stream {
  using Type = T;
  const T* data;
  Stream from(std::int64_t head) const { return {data + head}; }
  template <int kCount> __device__ Elements<T, kCount> at(std::int64_t i) const { return load<kCount>(data + i); }
};
template <class T> struct Operand {
  using Type = T;
  const T* data;
  bool repeated;
  Operand from(std::int64_t head) const { return {repeated ? data : data + head, repeated}; }
  template <int kCount> __device__ Elements<T, kCount> at(std::int64_t i) const {
    return repeated ? repeat<kCount>(*data) : load<kCount>(data + i);
  }
};

/// Grid: packs and single elements over blocks of 256. A thread: one pack, or one element. Moves each operand and y once. The pointers are
/// those of the head, the first aligned element: with the head added here, nvcc splits the 16-byte stores.
template <class F, class Out, class... Source> __global__ void __launch_bounds__(kElementThreads)
    map_kernel(Out* y, F f, Split split, Source... x) {
  constexpr int kPack = pack_of<Out, typename Source::Type...>();
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (i < split.packs) {
    const std::int64_t e = i * kPack;
    store<kPack>(y + e, apply<Out, kPack>(f, x.template at<kPack>(e)...));
  } else if (i < split.threads(kPack)) {
    const std::int64_t e = split.single(i, kPack);
    store<1>(y + e, apply<Out, 1>(f, x.template at<1>(e)...));
  }
}

template <class F, class Out, class... Source> void launch_map(const char* op, const Split& split, F f, Out* y, Source... x) {
  constexpr int kPack = pack_of<Out, typename Source::Type...>();
  const unsigned blocks = blocks_for(split.threads(kPack), kElementThreads);
  launch(op, map_kernel<F, Out, Source...>, blocks, kElementThreads, 0, y + split.head, f, split, x.from(split.head)...);
}

/// y = f(x...) where every operand has y's elements.
template <class F, class Out, class... In> void map(const char* op, std::int64_t n, F f, Out* y, const In*... x) {
  launch_map(op, Split(n, pack_of<Out, In...>(), {{y, sizeof(Out)}, {x, sizeof(In)}...}), f, y, Stream<In>{x}...);
}

// ---- rows ------------------------------------------------------------------------------------------------------------------------------

/// An operand of rows: `step` elements from row to row (0: the same for all), `along` a row or one element for all of it.
template <class T> struct RowOperand {
  const T* data;
  unsigned step;
  bool along;
  template <int kCount> __device__ Elements<T, kCount> at(unsigned row, unsigned column) const {
    return along ? load<kCount>(data + (row * step + column)) : repeat<kCount>(data[row * step]);
  }
};

/// The rows row, row + stride ... of one operand in one column; what does not change from row to row is read once.
template <class T, int kCount> class Column {
 public:
  struct Batch {
    Elements<T, kCount> row[kRowBatch<kCount>];
  };

  __device__ Column(const RowOperand<T>& x, unsigned column) : x_(x), column_(column) {
    if (x.step == 0) held_ = x.template at<kCount>(0, column);
  }
  __device__ Batch batch(unsigned row, unsigned stride, unsigned end) const {
    Batch b;
#pragma unroll
    for (int k = 0; k < kRowBatch<kCount>; ++k) {
      const unsigned r = row + static_cast<unsigned>(k) * stride;
      b.row[k] = held_;
      if (x_.step != 0 && r < end) b.row[k] = x_.template at<kCount>(r, column_);
    }
    return b;
  }

 private:
  RowOperand<T> x_;
  unsigned column_;
  Elements<T, kCount> held_ = {};
};

/// From `row` on, every blockDim.y-th of y's rows up to `end`, kPack columns from `column` on.
template <class Out, int kPack, class F, class... In> __device__ inline void write_column(Out* y, const F& f, unsigned row, unsigned end,
                                                                                          unsigned n, unsigned column,
                                                                                          const Column<In, kPack>&... x) {
  const auto write = [&](unsigned first, const typename Column<In, kPack>::Batch&... batch) {
#pragma unroll
    for (int k = 0; k < kRowBatch<kPack>; ++k) {
      const unsigned r = first + static_cast<unsigned>(k) * blockDim.y;
      if (r < end) store<kPack>(y + (r * n + column), apply<Out, kPack>(f, batch.row[k]...));
    }
  };
#pragma unroll 1
  for (; row < end; row += kRowBatch<kPack> * blockDim.y) write(row, x.batch(row, blockDim.y, end)...);
}

/// Grid: row groups x column groups; block: (packs across, rows), 256 threads. A thread: one pack of columns in rows_per_thread rows.
/// Moves y and whole operands once, a row operand once per rows_per_thread rows: with 16 it costs a quarter byte an element in f32.
template <class F, class Out, class... In> __global__ void __launch_bounds__(kElementThreads)
    rows_kernel(Out* y, F f, unsigned rows, unsigned packs, unsigned rows_per_thread, RowOperand<In>... x) {
  constexpr int kPack = pack_of<Out, In...>();
  const unsigned pack = blockIdx.y * blockDim.x + threadIdx.x, group = blockDim.y * rows_per_thread, first = blockIdx.x * group;
  if (pack >= packs) return;
  const unsigned end = rows - first < group ? rows : first + group;
  const unsigned column = pack * kPack, n = packs * kPack;
  write_column<Out, kPack>(y, f, first + threadIdx.y, end, n, column, Column<In, kPack>(x, column)...);
}

// ---- strided ---------------------------------------------------------------------------------------------------------------------------

/// The axes of y in packs, innermost first, and each operand's strides along them in elements. Fewer than 2^31 elements.
struct StridedLayout {
  int rank = 0;
  Divider extent[Shape::kMaxRank];
  unsigned stride[kMaxOperands][Shape::kMaxRank] = {};
  bool along[kMaxOperands] = {};  // along the innermost axis: a pack; otherwise one element for all of it
};

/// Grid: packs of y over blocks of 256. A thread: one pack of kPack (or 1) elements along the innermost axis. Moves y once.
template <int kPack, class F, class Out, class... In, std::size_t... k>
__device__ inline void write_strided(Out* y, const F& f, unsigned i, const StridedLayout& layout, std::index_sequence<k...>,
                                     const In*... x) {
  unsigned rest = i, offset[sizeof...(In)] = {};
#pragma unroll
  for (int axis = 0; axis < Shape::kMaxRank; ++axis) {
    if (axis >= layout.rank) break;
    const unsigned index = axis + 1 < layout.rank ? layout.extent[axis].split(rest) : rest;
    ((offset[k] += index * layout.stride[k][axis]), ...);
  }
  const auto operand = [&](const auto* data, bool along) { return along ? load<kPack>(data) : repeat<kPack>(*data); };
  store<kPack>(y + i * kPack, apply<Out, kPack>(f, operand(x + offset[k], layout.along[k])...));
}
template <int kPack, class F, class Out, class... In> __global__ void __launch_bounds__(kElementThreads)
    strided_kernel(Out* y, F f, unsigned packs, StridedLayout layout, const In*... x) {
  const unsigned i = blockIdx.x * kElementThreads + threadIdx.x;
  if (i < packs) write_strided<kPack>(y, f, i, layout, std::make_index_sequence<sizeof...(In)>(), x...);
}

// ---- the host's choice (elementwise_broadcast.cu) --------------------------------------------------------------------------------------

/// A broadcast of fewer than 2^31 elements: what of the whole one launch computes. Axis 0 is the innermost; strides are in bytes.
struct Piece {
  int rank = 0, operands = 0;
  std::int64_t extent[Shape::kMaxRank] = {}, stride[kMaxOperands][Shape::kMaxRank] = {};
  char* y = nullptr;
  const char* x[kMaxOperands] = {};
  std::int64_t y_size = 0, x_size[kMaxOperands] = {};  // of an element

  std::int64_t elements() const {
    std::int64_t n = 1;
    for (int a = 0; a < rank; ++a) n *= extent[a];
    return n;
  }
};
/// f(piece) for pieces that cover y.
void for_each_piece(const Array& y, const ConstArray* x, int operands, void* context, void (*f)(void*, const Piece&));
/// Whether the piece can be moved in packs of `pack` elements.
bool packs_fit(const Piece& piece, int pack);
StridedLayout layout_of(const Piece& piece, int pack);

/// How rows_kernel is launched; no rows per thread where another kernel suits the piece better. Packs fit the piece.
struct RowsPlan {
  dim3 grid, block;
  unsigned rows = 0, packs = 0, rows_per_thread = 0;
};
RowsPlan rows_plan(const Piece& piece, int pack);

template <class F, class Out, class... In, std::size_t... k>
void launch_piece(const char* op, F f, const Piece& piece, std::index_sequence<k...>) {
  constexpr int kPack = pack_of<Out, In...>();
  Out* const y = reinterpret_cast<Out*>(piece.y);
  const auto n = static_cast<unsigned>(piece.elements());
  if (!packs_fit(piece, kPack))
    return launch(op, strided_kernel<1, F, Out, In...>, blocks_for(n, kElementThreads), kElementThreads, 0, y, f, n, layout_of(piece, 1),
                  reinterpret_cast<const In*>(piece.x[k])...);
  if constexpr (sizeof...(In) <= 2) {  // the registers of three operands' rows would not suffice
    if (const RowsPlan rows = rows_plan(piece, kPack); rows.rows_per_thread > 0)
      return launch(op, rows_kernel<F, Out, In...>, rows.grid, rows.block, 0, y, f, rows.rows, rows.packs, rows.rows_per_thread,
                    RowOperand<In>{reinterpret_cast<const In*>(piece.x[k]), static_cast<unsigned>(piece.stride[k][1] / piece.x_size[k]),
                                   piece.stride[k][0] != 0}...);
  }
  launch(op, strided_kernel<kPack, F, Out, In...>, blocks_for(n / kPack, kElementThreads), kElementThreads, 0, y, f, n / kPack,
         layout_of(piece, kPack), reinterpret_cast<const In*>(piece.x[k])...);
}

template <class F, class Out, class... In, std::size_t... k>
void broadcast_over(const char* op, F f, const Array& y, const ConstArray (&x)[sizeof...(In)], std::index_sequence<k...> each) {
  const std::int64_t n = y.elements();
  if (n == 0) return;
  if (((x[k].elements() == n || x[k].elements() == 1) && ...)) {
    // A repeated operand is read element by element: for the alignment it counts as y.
    const auto pointer = [&](const ConstArray& a, std::size_t size) {
      return a.elements() == n ? Split::Pointer{a.data, size} : Split::Pointer{y.data, sizeof(Out)};
    };
    return launch_map(op, Split(n, pack_of<Out, In...>(), {{y.data, sizeof(Out)}, pointer(x[k], sizeof(In))...}), f,
                      static_cast<Out*>(y.data), Operand<In>{static_cast<const In*>(x[k].data), x[k].elements() != n}...);
  }
  auto launch_one = [&](const Piece& piece) { launch_piece<F, Out, In...>(op, f, piece, each); };
  for_each_piece(y, x, sizeof...(In), &launch_one,
                 [](void* context, const Piece& piece) { (*static_cast<decltype(launch_one)*>(context))(piece); });
}

/// y = f(x...), numpy broadcasting. Elements of y are Out, those of the operands In.
template <class Out, class... In, class F> void broadcast(const char* op, F f, const Array& y, const ConstArray (&x)[sizeof...(In)]) {
  broadcast_over<F, Out, In...>(op, f, y, x, std::make_index_sequence<sizeof...(In)>());
}

/// A device function as a function object.
template <auto f> struct Apply {
  template <class... A> __device__ auto operator()(A... a) const { return f(a...); }
};

}  // namespace gradus::inline v0::cuda
