// Optimizer steps over lists of tensors (kernels/optimizer.h): one launch for up to 60 of them.
//
//   sgd    g' = g + decay p;  b = momentum b + g';  p -= rate (b, or g' + momentum b)
//   adam   g' = g + decay p;  m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2;  p -= rate m / (sqrt(v) + epsilon) + decay' p
//   ema    t = decay t + (1 - decay) s
//   scale  x *= factor
//   squared_norm   sum x^2, in f64
//
// A table of pointers travels in the kernel's parameters, so nothing is copied and nothing is allocated. Bytes of an f32 element, read and
// written: sgd 12, with momentum 20, adam 28, 4 more with a mask; ema 12; scale 8; squared_norm 4.

#include <gradus/kernels/optimizer.h>

#include <gradus/kernels/cuda/packs.cuh>
#include <gradus/kernels/cuda/partials.cuh>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kItems = 60;  // tensors of one launch: with five pointers each the table fills the 4096 bytes that every device takes
// Elements of one block: eight accesses of 16 bytes by each thread. Longer chunks would save nothing but a search of six steps, and leave
// processors idle on models of a million parameters.
constexpr std::int64_t kChunk = 8192;

/// Arrays of one element type, seen by one kernel: for each of `count` tensors kStreams pointers (some may be null) and a length.
template <class T, int kStreams> struct Spans {
  T* at[kStreams][kItems];
  std::int64_t size[kItems];
  int first[kItems];  // block
  T decay[kItems];
  int count;
};

/// A block's part of a tensor.
template <class T, int kStreams> struct Span {
  T* at[kStreams];
  std::int64_t begin, end;
  T decay;
  bool aligned;
};

template <class T, int kStreams>
__device__ inline Span<T, kStreams> span_of(const Spans<T, kStreams>& spans, int block, std::int64_t chunk) {
  int item = 0;
  for (int step = 32; step > 0; step /= 2)  // the last tensor that starts at this block or before
    if (item + step < spans.count && spans.first[item + step] <= block) item += step;
  Span<T, kStreams> s;
  s.begin = (block - spans.first[item]) * chunk;
  s.end = spans.size[item] - s.begin < chunk ? spans.size[item] : s.begin + chunk;
  s.decay = spans.decay[item];
  s.aligned = true;
#pragma unroll
  for (int k = 0; k < kStreams; ++k) {
    s.at[k] = spans.at[k][item];
    s.aligned = s.aligned && reinterpret_cast<std::uintptr_t>(s.at[k]) % sizeof(Pack<T>) == 0;
  }
  return s;
}

// ---- the updates: kStreams arrays, of which the first kWritten are written -----------------------------------------------------------

/// p - step, or with a mask p - mask step; where the mask is 0, p, whatever the step.
template <class T> __device__ inline T moved(T p, T step, bool masked, T mask) {
  if (!masked) return p - step;
  return mask == T(0) ? p : p - step * mask;
}

template <class T> struct SgdUpdate {  // p, b, g, mask; b and mask may be absent
  using Element = T;
  static constexpr int kStreams = 4, kWritten = 2;
  T rate, momentum;
  bool nesterov;

  __device__ void operator()(T (&v)[kStreams], const bool (&has)[kStreams], T decay) const {
    const T gradient = ::fma(decay, v[0], v[2]);
    T direction = gradient;
    if (has[1]) {
      v[1] = ::fma(momentum, v[1], gradient);
      direction = nesterov ? ::fma(momentum, v[1], gradient) : v[1];
    }
    v[0] = moved(v[0], rate * direction, has[3], v[3]);
  }
};

/// m / c1 / (sqrt(v / c2) + epsilon) = m (sqrt(c2) / c1) / (sqrt(v) + epsilon sqrt(c2)): one division less for each element.
template <class T> struct AdamUpdate {  // p, m, v, g, mask; mask may be absent
  using Element = T;
  static constexpr int kStreams = 5, kWritten = 3;
  T b1, a1, b2, a2, rate, epsilon;
  bool decoupled;

  __device__ void operator()(T (&v)[kStreams], const bool (&has)[kStreams], T decay) const {
    const T old = v[0], gradient = ::fma(decoupled ? T(0) : decay, old, v[3]);
    v[1] = ::fma(b1, v[1], a1 * gradient);
    v[2] = ::fma(b2, v[2], a2 * (gradient * gradient));
    const T step = ::fma(decoupled ? decay : T(0), old, rate * v[1] / (::sqrt(v[2]) + epsilon));
    v[0] = moved(old, step, has[4], v[4]);
  }
};

template <class T> struct EmaUpdate {  // t, s
  using Element = T;
  static constexpr int kStreams = 2, kWritten = 1;
  T kept, taken;
  __device__ void operator()(T (&v)[kStreams], const bool (&)[kStreams], T) const { v[0] = ::fma(kept, v[0], taken * v[1]); }
};

template <class T> struct ScaleUpdate {  // x
  using Element = T;
  static constexpr int kStreams = 1, kWritten = 1;
  T factor;
  __device__ void operator()(T (&v)[kStreams], const bool (&)[kStreams], T) const { v[0] *= factor; }
};

/// Elements [i, i + kCount) of every array: by one access of 16 bytes, or by one element.
template <int kCount, class U>
__device__ inline void update_pack(const U& update, const Span<typename U::Element, U::kStreams>& s, std::int64_t i) {
  using T = typename U::Element;
  T v[kCount][U::kStreams];
  bool has[U::kStreams];
#pragma unroll
  for (int k = 0; k < U::kStreams; ++k) {
    has[k] = s.at[k] != nullptr;
    if constexpr (kCount > 1) {
      Pack<T> pack = {};
      if (has[k]) pack = read_pack<T>(s.at[k] + i);
#pragma unroll
      for (int j = 0; j < kCount; ++j) v[j][k] = pack.value[j];
    } else {
      v[0][k] = has[k] ? s.at[k][i] : T(0);
    }
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) update(v[j], has, s.decay);
#pragma unroll
  for (int k = 0; k < U::kWritten; ++k) {
    if (!has[k]) continue;
    if constexpr (kCount > 1) {
      Pack<T> pack;
#pragma unroll
      for (int j = 0; j < kCount; ++j) pack.value[j] = v[j][k];
      write_pack(s.at[k] + i, pack);
    } else {
      s.at[k][i] = v[0][k];
    }
  }
}

/// Grid: chunks of all tensors; block: 256. A block owns kChunk neighbouring elements of one tensor, a thread every 256th pack of them.
template <class U> __global__ void __launch_bounds__(kThreads)
    update_many(const __grid_constant__ Spans<typename U::Element, U::kStreams> spans, const __grid_constant__ U update) {
  constexpr int kPack = Pack<typename U::Element>::kCount;
  const auto s = span_of(spans, static_cast<int>(blockIdx.x), kChunk);
  std::int64_t i = s.begin + threadIdx.x;
  if (s.aligned) {
    const std::int64_t whole = s.begin + (s.end - s.begin) / kPack * kPack;
    for (std::int64_t p = s.begin + static_cast<std::int64_t>(threadIdx.x) * kPack; p < whole; p += kThreads * kPack)
      update_pack<kPack>(update, s, p);
    i = whole + threadIdx.x;
  }
  for (; i < s.end; i += kThreads) update_pack<1>(update, s, i);
}

// ---- the norm ------------------------------------------------------------------------------------------------------------------------

/// partial[block] = the sum of squares of the block's chunk. Grid: chunks of all tensors; block: 256; a thread takes every 256th pack,
/// whether it can be loaded as one or not, so that the bits do not depend on an address.
template <class T> __global__ void __launch_bounds__(kThreads)
    square_chunks(double* partial, const __grid_constant__ Spans<T, 1> spans, std::int64_t chunk) {
  constexpr int kPack = Pack<T>::kCount;
  __shared__ double scratch[kThreads / kWarp];
  const Span<T, 1> s = span_of(spans, static_cast<int>(blockIdx.x), chunk);
  double sum = 0;
  for (std::int64_t i = s.begin + static_cast<std::int64_t>(threadIdx.x) * kPack; i < s.end; i += kThreads * kPack) {
    Pack<T> v = {};
    if (s.aligned && i + kPack <= s.end) v = read_pack<T>(s.at[0] + i);
    else
      for (int j = 0; j < kPack; ++j)
        if (i + j < s.end) v.value[j] = s.at[0][i + j];
#pragma unroll
    for (int j = 0; j < kPack; ++j) sum = ::fma(static_cast<double>(v.value[j]), static_cast<double>(v.value[j]), sum);
  }
  sum = block_reduce<kThreads>(sum, scratch, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// *total = the sum of n partial sums. One block of 256.
__global__ void __launch_bounds__(kThreads) add_chunks(double* total, const double* partial, int n) {
  __shared__ double scratch[kThreads / kWarp];
  double sum = 0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) sum += partial[i];
  sum = block_reduce<kThreads>(sum, scratch, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) *total = sum;
}

// ---- lists into launches -------------------------------------------------------------------------------------------------------------

/// Fills tables; `start(spans, blocks)` is called for each full one, and by flush().
template <class T, int kStreams, class F> class Batch {
 public:
  Batch(std::int64_t chunk, const F& start) : chunk_(chunk), start_(start) {}

  void add(T* const (&at)[kStreams], std::int64_t size, T decay) {
    if (size == 0) return;
    const std::int64_t blocks = (size + chunk_ - 1) / chunk_;
    if (spans_.count == kItems || blocks_ + blocks > 0x7FFFFFFF) flush();
    const int i = spans_.count++;
    for (int k = 0; k < kStreams; ++k) spans_.at[k][i] = at[k];
    spans_.size[i] = size;
    spans_.first[i] = static_cast<int>(blocks_);
    spans_.decay[i] = decay;
    blocks_ += blocks;
  }
  void flush() {
    if (spans_.count > 0) start_(spans_, static_cast<unsigned>(blocks_));
    spans_.count = 0;
    blocks_ = 0;
  }

 private:
  std::int64_t chunk_, blocks_ = 0;
  const F& start_;
  Spans<T, kStreams> spans_ = {};
};

template <class T> T* optional(const Array& a) { return a.data ? a.as<T>() : nullptr; }
/// The tables hold pointers of one type; a kernel writes through the first kWritten alone.
template <class T> T* optional(const ConstArray& a) { return a.data ? const_cast<T*>(a.as<T>()) : nullptr; }

SgdUpdate<double> scalars(const SgdStep& s) { return {s.learning_rate, s.momentum, s.nesterov}; }
AdamUpdate<double> scalars(const AdamStep& s) {
  const double root = __builtin_sqrt(s.correction2);
  return {s.beta1, 1 - s.beta1, s.beta2, 1 - s.beta2, s.learning_rate * root / s.correction1, s.epsilon * root, s.decoupled};
}
template <class T> SgdUpdate<T> in_type(const SgdUpdate<double>& u) {
  return {static_cast<T>(u.rate), static_cast<T>(u.momentum), u.nesterov};
}
template <class T> AdamUpdate<T> in_type(const AdamUpdate<double>& u) {
  return {static_cast<T>(u.b1),   static_cast<T>(u.a1),      static_cast<T>(u.b2), static_cast<T>(u.a2),
          static_cast<T>(u.rate), static_cast<T>(u.epsilon), u.decoupled};
}
bool same(const SgdUpdate<double>& a, const SgdUpdate<double>& b) {
  return a.rate == b.rate && a.momentum == b.momentum && a.nesterov == b.nesterov;
}
bool same(const AdamUpdate<double>& a, const AdamUpdate<double>& b) {
  return a.b1 == b.b1 && a.b2 == b.b2 && a.rate == b.rate && a.epsilon == b.epsilon && a.decoupled == b.decoupled;
}
double decay_of(const SgdStep& s) { return s.weight_decay; }
double decay_of(const AdamStep& s) { return s.decoupled ? s.learning_rate * s.weight_decay : s.weight_decay; }

template <class T> void add_to(auto& batch, const SgdItem& x) {
  batch.add({x.parameter.as<T>(), optional<T>(x.momentum), optional<T>(x.gradient), optional<T>(x.mask)}, x.parameter.elements(),
            static_cast<T>(decay_of(x.step)));
}
template <class T> void add_to(auto& batch, const AdamItem& x) {
  batch.add({x.parameter.as<T>(), x.m.as<T>(), x.v.as<T>(), optional<T>(x.gradient), optional<T>(x.mask)}, x.parameter.elements(),
            static_cast<T>(decay_of(x.step)));
}

template <class T, template <class> class Update, class Item>
void step_items(const char* op, const Item* items, int count, const Update<double>& step) {
  using U = Update<T>;
  const U update = in_type<T>(step);
  const auto start = [&](const Spans<T, U::kStreams>& spans, unsigned blocks) {
    launch(op, update_many<U>, blocks, kThreads, 0, spans, update);
  };
  Batch<T, U::kStreams, decltype(start)> batch(kChunk, start);
  for (int i = 0; i < count; ++i) add_to<T>(batch, items[i]);
  batch.flush();
}

/// Cuts a list where the type or the step changes.
template <template <class> class Update, class Item> void step_many(const char* op, const Item* items, int count) {
  for (int i = 0; i < count;) {
    const Update<double> step = scalars(items[i].step);
    const DType dtype = items[i].parameter.dtype;
    int end = i + 1;
    while (end < count && items[end].parameter.dtype == dtype && same(scalars(items[end].step), step)) ++end;
    with_floating(dtype, [&](auto zero) { step_items<decltype(zero), Update>(op, items + i, end - i, step); });
    i = end;
  }
}

/// f(T, first, count) for runs of equal dtype; dtype_at(i) of item i.
template <class D, class F> void for_each_type(int count, const D& dtype_at, const F& f) {
  for (int i = 0; i < count;) {
    int end = i + 1;
    while (end < count && dtype_at(end) == dtype_at(i)) ++end;
    with_floating(dtype_at(i), [&](auto zero) { f(zero, i, end); });
    i = end;
  }
}

}  // namespace

void sgd_many(const SgdItem* items, int count) { step_many<SgdUpdate>("sgd", items, count); }
void adam_many(const AdamItem* items, int count) { step_many<AdamUpdate>("adam", items, count); }

void ema_many(const EmaItem* items, int count, double decay) {
  for_each_type(
      count, [&](int i) { return items[i].target.dtype; },
      [&](auto zero, int i, int end) {
        using T = decltype(zero);
        const EmaUpdate<T> update{static_cast<T>(decay), static_cast<T>(1 - decay)};
        const auto start = [&](const Spans<T, 2>& spans, unsigned blocks) {
          launch("ema", update_many<EmaUpdate<T>>, blocks, kThreads, 0, spans, update);
        };
        Batch<T, 2, decltype(start)> batch(kChunk, start);
        for (; i < end; ++i) batch.add({items[i].target.as<T>(), optional<T>(items[i].source)}, items[i].target.elements(), 0);
        batch.flush();
      });
}

void scale_many(const Array* xs, int count, double factor) {
  for_each_type(
      count, [&](int i) { return xs[i].dtype; },
      [&](auto zero, int i, int end) {
        using T = decltype(zero);
        const ScaleUpdate<T> update{static_cast<T>(factor)};
        const auto start = [&](const Spans<T, 1>& spans, unsigned blocks) {
          launch("scale", update_many<ScaleUpdate<T>>, blocks, kThreads, 0, spans, update);
        };
        Batch<T, 1, decltype(start)> batch(kChunk, start);
        for (; i < end; ++i) batch.add({optional<T>(xs[i])}, xs[i].elements(), 0);
        batch.flush();
      });
}

double squared_norm_many(const ConstArray* xs, int count) {
  constexpr std::int64_t kMostChunks = 1 << 16;  // 512 KiB of partial sums; twice as long chunks where there would be more
  std::int64_t chunk = kChunk / 2, chunks = kMostChunks + 1;
  while (chunks > kMostChunks) {
    chunk *= 2;
    chunks = 0;
    for (int i = 0; i < count; ++i) chunks += (xs[i].elements() + chunk - 1) / chunk;
  }
  if (chunks == 0) return 0;
  auto* const total = static_cast<double*>(partials(static_cast<std::size_t>(chunks + 1) * sizeof(double)));
  double *const partial = total + 1, *next = partial;
  for_each_type(
      count, [&](int i) { return xs[i].dtype; },
      [&](auto zero, int i, int end) {
        using T = decltype(zero);
        const auto start = [&](const Spans<T, 1>& spans, unsigned blocks) {
          launch("squared_norm", square_chunks<T>, blocks, kThreads, 0, next, spans, chunk);
          next += blocks;
        };
        Batch<T, 1, decltype(start)> batch(chunk, start);
        for (; i < end; ++i) batch.add({optional<T>(xs[i])}, xs[i].elements(), 0);
        batch.flush();
      });
  launch("squared_norm", add_chunks, 1, kThreads, 0, total, partial, static_cast<int>(chunks));
  double sum = 0;
  copy_to_host(&sum, total, sizeof sum);
  return sum;
}

void sgd(Array parameter, Array momentum, ConstArray gradient, ConstArray mask, const SgdStep& step) {
  const SgdItem item{parameter, momentum, gradient, mask, step};
  sgd_many(&item, 1);
}
void adam(Array parameter, Array m, Array v, ConstArray gradient, ConstArray mask, const AdamStep& step) {
  const AdamItem item{parameter, m, v, gradient, mask, step};
  adam_many(&item, 1);
}
void ema(Array target, ConstArray source, double decay) {
  const EmaItem item{target, source};
  ema_many(&item, 1, decay);
}
double squared_norm(ConstArray x) { return squared_norm_many(&x, 1); }
void scale(Array x, double factor) { scale_many(&x, 1, factor); }

}  // namespace gradus::inline v0::cuda
