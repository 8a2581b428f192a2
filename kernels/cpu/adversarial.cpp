#include <gradus/kernels/adversarial.h>

#include <cmath>

#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu {
namespace {

/// Calls f(row, first element, elements per row), rows in parallel.
template <class F> void for_rows(const Shape& shape, F&& f) {
  const std::int64_t rows = shape.rank() ? shape[0] : 1, width = rows ? shape.elements() / rows : 0;
  parallel_for(rows, [&](std::int64_t row) { f(row, row * width, width); });
}

template <class T> T clip(T v, T low, T high) { return v < low ? low : v > high ? high : v; }

/// clip(x + s d) as the kernel will store it.
template <class T> T along(T x, T moved, double s, double low, double high) {
  const double v = static_cast<double>(x) + s * (static_cast<double>(moved) - static_cast<double>(x));
  return static_cast<T>(clip(v, low, high));
}

/// |clip(x + s (moved - x)) - x|_2 of one sample, in f64.
template <class T> double length(const T* x, const T* moved, std::int64_t n, double s, double low, double high) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(along(x[i], moved[i], s, low, high)) - static_cast<double>(x[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

template <class T> void project_sample(T* y, const T* x, const T* moved, std::int64_t n, double eps, double low, double high) {
  double inside = 0, outside = 1;
  if (length(x, moved, n, 1, low, high) <= eps) inside = 1;
  // 52 halvings exhaust a double; the length is monotone in s because clipping only shrinks each coordinate's move.
  for (int i = 0; i < 52 && inside < 1; ++i) {
    const double s = 0.5 * (inside + outside);
    (length(x, moved, n, s, low, high) <= eps ? inside : outside) = s;
  }
  for (std::int64_t i = 0; i < n; ++i) y[i] = along(x[i], moved[i], inside, low, high);
}

constexpr std::int64_t kStepChunk = 1 << 15;  // elements that a thread takes at a time

/// As the elementwise kernels: zero and NaN as they are; NaN in either operand gives NaN, of equals the second.
template <class T> T sign(T x) { return x < 0 || x > 0 ? std::copysign(T(1), x) : x; }
template <class T> T larger(T a, T b) { return a > b || a != a ? a : b; }
template <class T> T smaller(T a, T b) { return a < b || a != a ? a : b; }

template <class F> void distances(Array distance, ConstArray a, ConstArray b, F combine) {
  with_floating(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_rows(*a.shape, [&](std::int64_t row, std::int64_t first, std::int64_t width) {
      double d = 0;
      for (std::int64_t i = first; i < first + width; ++i)
        d = combine(d, static_cast<double>(a.as<T>()[i]) - static_cast<double>(b.as<T>()[i]));
      distance.as<double>()[row] = d;
    });
  });
}

}  // namespace

void linf_bounds(Array lower, Array upper, ConstArray x, double eps, double low, double high) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      const T v = x.as<T>()[i];
      T down = static_cast<T>(static_cast<double>(v) - eps), up = static_cast<T>(static_cast<double>(v) + eps);
      if (static_cast<double>(v) - static_cast<double>(down) > eps) down = std::nextafter(down, v);
      if (static_cast<double>(up) - static_cast<double>(v) > eps) up = std::nextafter(up, v);
      lower.as<T>()[i] = down < static_cast<T>(low) ? static_cast<T>(low) : down;
      upper.as<T>()[i] = up > static_cast<T>(high) ? static_cast<T>(high) : up;
    }
  });
}

void l2_project(Array y, ConstArray x, ConstArray moved, double eps, double low, double high) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_rows(*x.shape, [&](std::int64_t, std::int64_t first, std::int64_t width) {
      project_sample(y.as<T>() + first, x.as<T>() + first, moved.as<T>() + first, width, eps, low, high);
    });
  });
}

void pgd_linf_step(Array x_next, ConstArray x_now, ConstArray gradient, ConstArray lower, ConstArray upper, double step) {
  with_floating(x_now.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const y = x_next.as<T>();
    const T *const x = x_now.as<T>(), *const g = gradient.as<T>(), *const l = lower.as<T>(), *const u = upper.as<T>();
    const T s = static_cast<T>(step);
    const std::int64_t n = x_now.elements();
    parallel_for((n + kStepChunk - 1) / kStepChunk, [&](std::int64_t chunk) {
      // step sign(g) is exact, so it does not matter whether add_scaled rounds it.
      for (std::int64_t i = chunk * kStepChunk; i < n && i < (chunk + 1) * kStepChunk; ++i)
        y[i] = smaller(larger(x[i] + s * sign(g[i]), l[i]), u[i]);
    });
  });
}

void linf_distance(Array distance, ConstArray a, ConstArray b) {
  distances(distance, a, b, [](double d, double x) { return std::abs(x) > d || std::isnan(x) ? std::abs(x) : d; });
}

void l2_distance(Array distance, ConstArray a, ConstArray b) {
  distances(distance, a, b, [](double d, double x) { return d + x * x; });
  for (std::int64_t i = 0; i < distance.elements(); ++i) distance.as<double>()[i] = std::sqrt(distance.as<double>()[i]);
}

std::int64_t zero_non_finite(Array y, ConstArray g) {
  std::int64_t count = 0;
  with_floating(g.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < g.elements(); ++i) {
      const bool finite = std::isfinite(g.as<T>()[i]);
      y.as<T>()[i] = finite ? g.as<T>()[i] : T(0);
      count += !finite;
    }
  });
  return count;
}

}  // namespace gradus::inline v0::cpu
