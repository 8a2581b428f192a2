// Cross-entropy of the rows of logits [N, K] (kernels/softmax.h). No probability is stored.
//
//   classes t:         loss = w_t softplus(r - x_t), r = log sum_{j != t} exp x_j;  dx_j = dloss w_t exp(x_j - lse), dx_t = -(their sum)
//   distributions t_j: loss = sum_j w_j t_j (lse - x_j);                            dx_j = dloss (exp(x_j - lse) sum_k w_k t_k - w_j t_j)
// A row is owned by 1 to 32 lanes (K <= 1024) or by a block of 256. Bytes of an f32 logit: classes forward 4, backward 8 (dx may take the
// place of x); distributions forward 8, backward 12 (targets are held on the chip between the sum and dx: softmax_lines.cuh). Backward the
// last rows come first: they are the ones that the forward pass, or whatever made the logits, left in L2 (habit of karpathy/llm.c).

#include <gradus/kernels/softmax.h>

#include <gradus/kernels/cuda/softmax_lines.cuh>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kRowLoad = 8;  // numbers that a thread loads at a time

template <class T> __device__ inline T softplus_of(T x) { return x > T(0) ? x + ::log1p(::exp(-x)) : ::log1p(::exp(x)); }

/// f(v, places) for the loads of a thread's part of a row of k numbers; in v what is not there is `missing`.
template <int kPack, class T, class G, class F>
__device__ inline void each_load(const G& group, const T* row, std::int64_t k, bool aligned, T missing, const F& f) {
  const std::int64_t stride = static_cast<std::int64_t>(group.size()) * kPack;
  for (std::int64_t begin = 0; begin < k; begin += stride * (kRowLoad / kPack)) {
    T v[kRowLoad];
#pragma unroll
    for (int j = 0; j < kRowLoad; ++j) v[j] = missing;
    const Places<kPack, std::int64_t> at{begin + group.member() * kPack, stride, k};
    std::int64_t offset[kRowLoad / kPack];
#pragma unroll
    for (int p = 0; p < kRowLoad / kPack; ++p) offset[p] = at.position(p * kPack);
    if (kPack > 1 && aligned) load_offsets<kPack, (kPack > 1)>(v, row, offset, at);
    else load_offsets<kPack, false>(v, row, offset, at);
    f(v, at);
  }
}

// ---- targets are classes -------------------------------------------------------------------------------------------------------------

template <class T> struct Classes {
  const std::int64_t* target;
  const T* weights;  // null: 1
  std::int64_t rows, k;

  /// -1: out of range, or no row. The op has queued a check of its own; here such a row has no loss and no gradient.
  __device__ std::int64_t of(std::int64_t row) const {
    if (row < 0 || row >= rows) return -1;
    const std::int64_t t = target[row];
    return t < k ? t : -1;
  }
  __device__ T weight(std::int64_t t) const { return weights ? weights[t] : T(1); }
};

/// loss and lse of a row from r = largest + log(others) and the target's own logit.
template <class T> __device__ inline Two<T, T> loss_and_lse(T largest, T others, T own) {
  if (own == infinity<T>()) own = infinity<T>() - own;  // +inf gives NaN, in the target's place too
  const T rest = ::log(others), gap = (largest - own) + rest, loss = softplus_of(gap);
  return {loss, gap > T(0) ? (largest + rest) + softplus_of(-gap) : own + loss};
}

/// Grid: rows / rows of a block; block: 256. The thread that comes upon the target's logit writes the row's results.
template <int kPack, class T, class G> __global__ void __launch_bounds__(kLineThreads, kLeastBlocks<T, G>)
    classes_forward(T* loss, T* lse, const T* x, Classes<T> c, bool aligned, G group) {
  using A = typename G::template Sum<T>;
  __shared__ double scratch[G::kScratch];
  const std::int64_t row = group.line();
  const bool here = row < c.rows;
  const std::int64_t target = c.of(row);
  Two<T, A> s{-infinity<T>(), 0};
  T own = 0;
  bool owner = false;
  each_load<kPack>(group, x + (here ? row * c.k : 0), here ? c.k : 0, aligned, -infinity<T>(), [&](T(&v)[kRowLoad], const auto& at) {
#pragma unroll
    for (int j = 0; j < kRowLoad; ++j)
      if (at.position(j) == target) own = v[j], v[j] = -infinity<T>(), owner = true;
    take_in(s, v);
  });
  const T largest = group_max(group, scratch, s.a), others = static_cast<T>(group_exp_sum(group, scratch, s, largest));
  if (owner) {
    const Two<T, T> r = loss_and_lse(largest, others, own);
    loss[row] = r.a * c.weight(target);
    lse[row] = r.b;
  } else if (here && group.member() == 0 && target < 0) {
    loss[row] = 0;
    lse[row] = largest + ::log(others);
  }
}

/// The same grid, the rows from the last to the first.
template <int kPack, class T, class G> __global__ void __launch_bounds__(kLineThreads, kLeastBlocks<T, G>)
    classes_backward(T* dx, const T* dloss, const T* x, const T* lse, Classes<T> c, bool aligned, G group) {
  __shared__ double scratch[G::kScratch];
  const std::int64_t row = c.rows - 1 - group.line();
  const bool here = row >= 0;
  const std::int64_t target = c.of(row);
  const T scale = target >= 0 ? dloss[row] * c.weight(target) : T(0), centre = here ? lse[row] : T(0);
  T* const to = dx + (here ? row * c.k : 0);
  typename G::template Sum<T> others = 0;
  bool owner = false;
  each_load<kPack>(group, x + (here ? row * c.k : 0), here ? c.k : 0, aligned, T(0), [&](T(&v)[kRowLoad], const auto& at) {
#pragma unroll
    for (int j = 0; j < kRowLoad; ++j) {
      const bool own = at.position(j) == target;
      v[j] = own || !at.valid(j) ? T(0) : scale * ::exp(v[j] - centre);
      owner = owner || own;
    }
#pragma unroll
    for (int p = 0; p < kRowLoad; p += kPack) {
      if (!at.valid(p)) continue;
      if (kPack > 1 && aligned) store_pack<kPack, (kPack > 1)>(to + at.position(p), v + p);
      else store_pack<kPack, false>(to + at.position(p), v + p);
    }
    others += tree_sum<kRowLoad>(v);
  });
  others = group_sum(group, scratch, others);
  if (owner) to[target] = -static_cast<T>(others);  // over the 0 that this thread put there
}

// ---- targets are distributions -------------------------------------------------------------------------------------------------------

/// sum_j p_j (centre - x_j) and sum_j p_j, p = w t; a product with a p of 0 is 0, whatever x.
template <class A> struct Weighted { A distance, mass; };

/// Moves the centre by `shift`.
template <class A, class T> __device__ inline void recentre(Weighted<A>& w, T shift) {
  if (w.mass != 0 && shift != T(0)) w.distance += w.mass * static_cast<A>(shift);
}
template <class T> __device__ inline T centre_of(T largest) { return largest == -infinity<T>() ? T(0) : largest; }

/// Grid: rows / rows of a block; block: 256. One pass: the sums follow the centre of the online sum.
template <int kPack, class T, class G> __global__ void __launch_bounds__(kLineThreads, kLeastBlocks<T, G>)
    soft_forward(T* loss, T* lse, const T* x, const T* t, const T* weights, std::int64_t rows, std::int64_t k, bool aligned, G group) {
  using A = typename G::template Sum<T>;
  __shared__ double scratch[G::kScratch];
  const std::int64_t row = group.line(), end = row < rows ? k : 0, base = row < rows ? row * k : 0;
  Two<T, A> s{-infinity<T>(), 0};
  Weighted<A> w{0, 0};
  each_load<kPack>(group, x + base, end, aligned, -infinity<T>(), [&](T(&v)[kRowLoad], const auto& at) {
    T p[kRowLoad], distance[kRowLoad];
    std::int64_t offset[kRowLoad / kPack];
#pragma unroll
    for (int j = 0; j < kRowLoad; ++j) p[j] = 0, distance[j] = v[j];
#pragma unroll
    for (int q = 0; q < kRowLoad / kPack; ++q) offset[q] = at.position(q * kPack);
    if (kPack > 1 && aligned) load_offsets<kPack, (kPack > 1)>(p, t + base, offset, at);
    else load_offsets<kPack, false>(p, t + base, offset, at);
    const T before = centre_of(s.a);
    take_in(s, v);
    const T centre = centre_of(s.a);
    recentre(w, centre - before);
#pragma unroll
    for (int j = 0; j < kRowLoad; ++j) {
      if (weights != nullptr && at.valid(j)) p[j] *= weights[at.position(j)];
      distance[j] = p[j] == T(0) ? T(0) : p[j] * (centre - distance[j]);
    }
    w.distance += tree_sum<kRowLoad>(distance);
    w.mass += tree_sum<kRowLoad>(p);
  });
  const T largest = group_max(group, scratch, s.a);
  const A sum = group_exp_sum(group, scratch, s, largest);
  recentre(w, centre_of(largest) - centre_of(s.a));
  const A distance = group_sum(group, scratch, w.distance), mass = group_sum(group, scratch, w.mass);
  if (end == 0 || group.member() != 0) return;
  const A rest = ::log(sum);
  loss[row] = static_cast<T>(mass == 0 ? distance : distance + mass * rest);
  lse[row] = largest + static_cast<T>(rest);
}

template <class T> struct SoftRule {  // t, x
  static constexpr bool kTermNeedsSecond = false, kRowsOnly = true;
  const T *dloss, *lse, *weights;
  T scale, centre;

  __device__ void begin(std::int64_t row) { scale = dloss[row], centre = lse[row]; }
  __device__ T first(T t, std::int64_t j) const { return weights ? t * weights[j] : t; }
  __device__ T term(T p, T) const { return p; }
  __device__ T result(T p, T x, T mass) const { return scale * (::exp(x - centre) * mass - p); }
};

// ---- launching -----------------------------------------------------------------------------------------------------------------------

template <class T> const T* optional(const ConstArray& a) { return a.data ? a.as<T>() : nullptr; }

/// start(group, kPack as a constant, grid)
template <class T, class F> void with_rows(std::int64_t rows, std::int64_t k, const F& start) {
  const auto with_pack = [&](auto pack) {
    if (k > kShortLine) return start(Block(), pack, static_cast<unsigned>(rows));
    const Lanes lanes{lanes_for(k, decltype(pack)::value)};
    start(lanes, pack, blocks_for(rows * lanes.lanes, kLineThreads));
  };
  if (k % Pack<T>::kCount == 0) with_pack(std::integral_constant<int, Pack<T>::kCount>());
  else with_pack(std::integral_constant<int, 1>());
}

}  // namespace

void cross_entropy(Array loss, Array lse, ConstArray logits, ConstArray targets, ConstArray class_weights) {
  const std::int64_t rows = loss.elements(), k = logits.shape->back();
  with_floating(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const x = logits.as<T>(), *const w = optional<T>(class_weights);
    with_rows<T>(rows, k, [&](auto group, auto pack, unsigned grid) {
      constexpr int kPack = decltype(pack)::value;
      if (targets.dtype == DType::i64) {
        launch("cross_entropy", classes_forward<kPack, T, decltype(group)>, grid, kLineThreads, 0, loss.as<T>(), lse.as<T>(), x,
               Classes<T>{targets.as<std::int64_t>(), w, rows, k}, aligned16(x), group);
      } else {
        const T* const t = targets.as<T>();
        launch("cross_entropy", soft_forward<kPack, T, decltype(group)>, grid, kLineThreads, 0, loss.as<T>(), lse.as<T>(), x, t, w, rows, k,
               aligned16(x) && aligned16(t), group);
      }
    });
  });
}

void cross_entropy_backward(Array dlogits, ConstArray dloss, ConstArray logits, ConstArray lse, ConstArray targets,
                            ConstArray class_weights) {
  const std::int64_t rows = dloss.elements(), k = logits.shape->back();
  with_floating(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const dx = dlogits.as<T>();
    const T *const x = logits.as<T>(), *const g = dloss.as<T>(), *const sums = lse.as<T>(), *const w = optional<T>(class_weights);
    const bool aligned = aligned16(dx) && aligned16(x);
    if (targets.dtype != DType::i64) {
      const T* const t = targets.as<T>();
      return launch_line_backward("cross_entropy_backward", dx, t, x, SoftRule<T>{g, sums, w, 0, 0},
                                  {rows, k, 1, 0, aligned && aligned16(t)});
    }
    with_rows<T>(rows, k, [&](auto group, auto pack, unsigned grid) {
      launch("cross_entropy_backward", classes_backward<decltype(pack)::value, T, decltype(group)>, grid, kLineThreads, 0, dx, g, x, sums,
             Classes<T>{targets.as<std::int64_t>(), w, rows, k}, aligned, group);
    });
  });
}

}  // namespace gradus::inline v0::cuda
