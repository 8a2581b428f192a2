// Cross-entropy, row by row: the logits are read from memory once in each pass, and no probability is stored.

#include <gradus/kernels/cpu/softmax_rows.h>
#include <gradus/kernels/cpu/softmax_table.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Index = std::int64_t;

inline constexpr Index kBlock = 2048;  // logits that are read twice while they lie in L1 (8 KiB of f32)

/// f(first row, last row) in chunks that are whole vectors of rows.
template <class F> void for_each_rows(Index rows, Index k, const F& f) {
  constexpr Index kWhole = 16;  // no vector has more lanes
  const Index each = (kSoftmaxChunk / (k + 1) / kWhole + 1) * kWhole;
  parallel_for((rows + each - 1) / each, [&](Index chunk) { f(chunk * each, least(rows, (chunk + 1) * each)); });
}

/// sum_j exp x_j = sum exp(largest), grown block by block (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax").
template <class T> struct OnlineSum {
  T largest = -static_cast<T>(__builtin_inf());
  double sum = 0;

  /// Takes in x[0 .. n), leaving out number `skip` from the sum (a number outside [0, n): none).
  GRADUS_INLINE void add(const T* x, Index n, Index skip) {
    const T here = max_run(n, x);
    if (here > largest) {
      if (sum != 0) sum *= static_cast<double>(first_lane(exp_nonpositive(Vec<T>(largest - here))));
      largest = here;
    }
    const Vec<T> centre = largest > -static_cast<T>(__builtin_inf()) ? largest : T(0);  // all -inf so far: exp gives the zeros
    const auto f = [&](Vec<T> v) { return exp_nonpositive(v - centre); };
    if (skip < 0 || skip >= n) sum += sum_run<Vec<T>>(n, f, x);
    else sum += total(sum_lanes_of_run<Vec<T>>(skip, f, x) + sum_lanes_of_run<Vec<T>>(n - skip - 1, f, x + skip + 1));
  }
};

template <class T> OnlineSum<T> sum_of_row(const T* x, Index k, Index skip) {
  OnlineSum<T> s;
  for (Index i = 0; i < k; i += kBlock) s.add(x + i, least(kBlock, k - i), skip - i);
  return s;
}

// ---- targets are classes -------------------------------------------------------------------------------------------------------------

template <class T> struct Classes {
  const Index* target;
  const T* weights;  // null: 1

  T weight(Index row) const { return weights ? weights[target[row]] : T(1); }
};

/// Of `rows` <= W rows: with r = log sum_{j != t} exp x_j, loss = softplus(r - x_t) and lse = max(r, x_t) + softplus(-|r - x_t|).
template <class T> void classes_forward(T* loss, T* lse, const T* logits, const Classes<T>& c, Index first, Index rows, Index k) {
  constexpr int W = Vec<T>::W;
  T largest[W] = {}, others[W] = {}, own[W] = {}, weight[W] = {};
  for (Index r = 0; r < rows; ++r) {
    const T* x = logits + (first + r) * k;
    const Index t = c.target[first + r];
    const OnlineSum<T> s = sum_of_row(x, k, t);
    largest[r] = s.largest, others[r] = static_cast<T>(s.sum), own[r] = x[t], weight[r] = c.weight(first + r);
  }
  const Vec<T> x = Vec<T>::load(own), top = Vec<T>::load(largest), rest = log(Vec<T>::load(others));
  const Vec<T> gap = (top - x) + rest, losses = softplus(gap);
  const Vec<T> sums = select(gap > Vec<T>(T(0)), (top + rest) + softplus(-gap), x + losses);
  const auto put = [&](Vec<T> v, T* to) { rows == W ? v.store(to) : store_partial(v, to, rows); };
  put(losses * Vec<T>::load(weight), loss + first);
  put(sums, lse + first);
}

template <class T> void classes_backward(T* dx, T dloss, const T* x, T lse, Index target, Index k) {
  const Vec<T> scale = dloss, centre = lse;
  const auto f = [&](Vec<T> v) { return scale * exp_nonpositive(v - centre); };
  double others = 0;
  for (Index i = 0; i < target; i += kBlock) others += total(write_run(least(kBlock, target - i), dx + i, f, x + i));
  for (Index i = target + 1; i < k; i += kBlock) others += total(write_run(least(kBlock, k - i), dx + i, f, x + i));
  dx[target] = static_cast<T>(-others);
}

// ---- targets are distributions -------------------------------------------------------------------------------------------------------

/// Products with a target of 0 are 0, whatever the other factor.
template <class T> GRADUS_INLINE Vec<T> unless_zero(Vec<T> target, Vec<T> product) {
  return select(target == Vec<T>(T(0)), target, product);
}

/// sum_j f(w_j t_j, x_j)
template <class T, class F> GRADUS_INLINE T sum_targets(const T* t, const T* w, const T* x, Index k, const F& f) {
  double sum = 0;
  for (Index i = 0; i < k; i += kBlock) {
    const Index n = least(kBlock, k - i);
    if (w)
      sum += sum_run<Vec<T>>(
          n, [&](Vec<T> p, Vec<T> weight, Vec<T> v) { return f(p * weight, v); }, t + i, w + i, x + i);
    else sum += sum_run<Vec<T>>(n, f, t + i, x + i);
  }
  return static_cast<T>(sum);
}

template <class T> void soft_forward(T* loss, T* lse, const T* x, const T* t, const T* w, Index k) {
  const OnlineSum<T> s = sum_of_row(x, k, -1);
  const T rest = first_lane(log(Vec<T>(static_cast<T>(s.sum))));
  const auto f = [&](Vec<T> p, Vec<T> v) { return unless_zero(p, p * ((Vec<T>(s.largest) - v) + Vec<T>(rest))); };
  *loss = sum_targets(t, w, x, k, f);
  *lse = s.largest + rest;
}

template <class T> void soft_backward(T* dx, T dloss, const T* x, T lse, const T* t, const T* w, Index k) {
  const Vec<T> scale = dloss, centre = lse, mass = sum_targets(t, w, x, k, [](Vec<T> p, Vec<T>) { return p; });
  const auto f = [&](Vec<T> v, Vec<T> p) { return scale * (exp_nonpositive(v - centre) * mass - p); };
  if (w)
    map_range(
        0, k, dx, [&](Vec<T> v, Vec<T> p, Vec<T> weight) { return f(v, p * weight); }, x, t, w);
  else map_range(0, k, dx, f, x, t);
}

// ---- the kernels ---------------------------------------------------------------------------------------------------------------------

template <class T> const T* optional(const ConstArray& a) { return a.data ? a.as<T>() : nullptr; }

void cross_entropy(Array loss, Array lse, ConstArray logits, ConstArray targets, ConstArray class_weights) {
  const Index k = logits.shape->back();
  with_floating(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *x = logits.as<T>(), *w = optional<T>(class_weights);
    T *losses = loss.as<T>(), *sums = lse.as<T>();
    for_each_rows(loss.elements(), k, [&](Index begin, Index end) {
      if (targets.dtype == DType::i64) {
        const Classes<T> c{targets.as<Index>(), w};
        for (Index i = begin; i < end; i += Vec<T>::W) classes_forward(losses, sums, x, c, i, least(Vec<T>::W, end - i), k);
      } else {
        for (Index i = begin; i < end; ++i) soft_forward(losses + i, sums + i, x + i * k, targets.as<T>() + i * k, w, k);
      }
    });
  });
}

void cross_entropy_backward(Array dlogits, ConstArray dloss, ConstArray logits, ConstArray lse, ConstArray targets,
                            ConstArray class_weights) {
  const Index k = logits.shape->back();
  with_floating(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *g = dloss.as<T>(), *x = logits.as<T>(), *sums = lse.as<T>(), *w = optional<T>(class_weights);
    T* dx = dlogits.as<T>();
    for_each_rows(dloss.elements(), k, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        if (targets.dtype == DType::i64) {
          const Classes<T> c{targets.as<Index>(), w};
          classes_backward(dx + i * k, g[i] * c.weight(i), x + i * k, sums[i], c.target[i], k);
        } else {
          soft_backward(dx + i * k, g[i], x + i * k, sums[i], targets.as<T>() + i * k, w, k);
        }
      }
    });
  });
}

}  // namespace

extern const CrossEntropyTable cross_entropy_table;
const CrossEntropyTable cross_entropy_table{cross_entropy, cross_entropy_backward};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
