// Batch normalisation against its formulas in extended precision, channel by channel.
#include <string>

#include <gradus/kernels/normalization.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;
using Wide = long double;

/// Shapes that take every path: planes longer and shorter than a block; columns narrower than a vector, not a multiple of one, of several
/// groups, with one and several positions a channel; rows that do not fill a block; one number.
std::vector<Shape> shapes() {
  return {{3, 2, 10, 10}, {2, 3, 5000}, {1, 1, 9, 9}, {5, 4, 64}, {7, 5, 7, 7}, {3, 21, 3, 3}, {130, 3},   {9, 100},    {70, 1},
          {4, 2, 1, 2},   {1, 6},       {3, 1100},    {65, 260},  {66, 40, 4},  {1, 1},        {2, 3, 65}, {2, 2, 8193}};
}

/// The numbers of one channel.
template <class T> std::vector<Index> places(const Buffer<T>& x, Index channel) {
  const Shape& s = x.shape();
  const Index inner = s.product(2, s.rank());
  std::vector<Index> found;
  for (Index n = 0; n < s[0]; ++n)
    for (Index i = 0; i < inner; ++i) found.push_back((n * s[1] + channel) * inner + i);
  return found;
}

struct Exact {
  Wide mean = 0, var = 0;
};
template <class T> Exact statistics_of(const Buffer<T>& x, const std::vector<Index>& at) {
  Exact e;
  for (const Index i : at) e.mean += static_cast<Wide>(x[i]) / static_cast<Wide>(at.size());
  for (const Index i : at) e.var += (x[i] - e.mean) * (x[i] - e.mean) / static_cast<Wide>(at.size());
  return e;
}

template <class T> struct Problem {
  Buffer<T> x, dy, y, dx, mean, var, rstd, gamma, beta, dgamma, dbeta;

  explicit Problem(Shape s)
      : x(s), dy(s), y(s), dx(s), mean({s[1]}), var({s[1]}), rstd({s[1]}), gamma({s[1]}), beta({s[1]}), dgamma({s[1]}), dbeta({s[1]}) {
    fill_normal(x, 1), fill_normal(dy, 2), fill_normal(gamma, 3), fill_normal(beta, 4);
    for (Index i = 0; i < x.size(); ++i) x[i] = 3 * x[i] + 1;
  }
  void train() { cpu::batch_norm_train(y.array(), mean.array(), var.array(), rstd.array(), x.array(), gamma.array(), beta.array(), 1e-5); }
  void backward() {
    cpu::batch_norm_backward(dx.array(), dgamma.array(), dbeta.array(), dy.array(), x.array(), mean.array(), rstd.array(), gamma.array());
  }
  bool guards_intact() const {
    for (const Buffer<T>* b : {&y, &dx, &mean, &var, &rstd, &dgamma, &dbeta})
      if (!b->guards_intact()) return false;
    return true;
  }
};

bool near(Wide a, Wide b, double tolerance) { return std::fabs(a - b) <= tolerance * std::max<Wide>(1, std::fabs(b)); }

template <class T> void check_train_and_backward(const Shape& shape, double tolerance) {
  INFO(to_string(shape));
  Problem<T> p(shape);
  p.train(), p.backward();
  for (Index c = 0; c < shape[1]; ++c) {
    CAPTURE(c);
    const std::vector<Index> at = places(p.x, c);
    const Exact e = statistics_of(p.x, at);
    const Wide rstd = 1 / std::sqrt(e.var + 1e-5L), count = static_cast<Wide>(at.size());
    REQUIRE(near(p.mean[c], e.mean, tolerance));
    REQUIRE(near(p.var[c], e.var, tolerance));
    REQUIRE(near(p.rstd[c] / rstd, 1, tolerance));
    Wide dbeta = 0, dgamma = 0, size = 0;
    for (const Index i : at) {
      const Wide normal = (p.x[i] - e.mean) * rstd;
      REQUIRE(near(p.y[i], normal * p.gamma[c] + p.beta[c], 4 * tolerance));
      dbeta += p.dy[i], dgamma += p.dy[i] * normal, size += std::fabs(p.dy[i]) * (1 + std::fabs(normal));
    }
    REQUIRE(std::fabs(p.dbeta[c] - dbeta) <= tolerance * size);
    REQUIRE(std::fabs(p.dgamma[c] - dgamma) <= 4 * tolerance * size);
    for (const Index i : at) {
      const Wide normal = (p.x[i] - e.mean) * rstd, scale = std::fabs(p.gamma[c] * rstd);
      const Wide exact = p.gamma[c] * rstd * (p.dy[i] - dbeta / count - normal * dgamma / count);
      REQUIRE(std::fabs(p.dx[i] - exact) <= 16 * tolerance * std::max<Wide>(1, scale));
    }
  }
  REQUIRE(p.guards_intact());
}

/// The same numbers in each of the kernels that compute them.
template <class T> void check_kernels_agree(const Shape& shape) {
  INFO(to_string(shape));
  Problem<T> p(shape), q(shape);
  p.train(), p.backward();
  cpu::batch_norm_statistics(q.mean.array(), q.var.array(), q.x.array());
  REQUIRE(q.mean.same_bits(p.mean));
  REQUIRE(q.var.same_bits(p.var));
  cpu::batch_norm(q.y.array(), q.x.array(), p.mean.array(), p.rstd.array(), p.gamma.array(), p.beta.array());
  REQUIRE(q.y.same_bits(p.y));
  cpu::batch_norm_backward({}, q.dgamma.array(), q.dbeta.array(), p.dy.array(), p.x.array(), p.mean.array(), p.rstd.array(),
                           p.gamma.array());
  REQUIRE(q.dgamma.same_bits(p.dgamma));
  REQUIRE(q.dbeta.same_bits(p.dbeta));
  Buffer<T> ones({shape[1]}, T(1)), zeros({shape[1]});
  cpu::batch_norm(p.y.array(), p.x.array(), p.mean.array(), p.rstd.array(), ones.array(), zeros.array());
  cpu::batch_norm(q.y.array(), p.x.array(), p.mean.array(), p.rstd.array(), {}, {});
  REQUIRE(q.y.same_bits(p.y));
  cpu::batch_norm_backward(p.dx.array(), p.dgamma.array(), p.dbeta.array(), p.dy.array(), p.x.array(), p.mean.array(), p.rstd.array(),
                           ones.array());
  cpu::batch_norm_backward(q.dx.array(), q.dgamma.array(), q.dbeta.array(), p.dy.array(), p.x.array(), p.mean.array(), p.rstd.array(), {});
  REQUIRE(q.dx.same_bits(p.dx));
}

template <class T> void check_thread_count(const Shape& shape) {
  INFO(to_string(shape));
  Problem<T> p(shape), q(shape);
  p.train(), p.backward();
  ThreadPool threads(3);
  const PoolScope scope(threads);
  q.train(), q.backward();
  REQUIRE(q.y.same_bits(p.y));
  REQUIRE(q.dx.same_bits(p.dx));
  REQUIRE(q.dgamma.same_bits(p.dgamma));
}

}  // namespace

TEST_CASE("batch norm: statistics, y and all gradients, for every layout") {
  for_each_isa([] {
    for (const Shape& s : shapes()) check_train_and_backward<float>(s, 2e-6), check_train_and_backward<double>(s, 1e-14);
  });
}

TEST_CASE("batch norm: the kernels agree bit for bit, absent parameters are 1 and 0") {
  for_each_isa([] {
    for (const Shape& s : shapes()) check_kernels_agree<float>(s), check_kernels_agree<double>(s);
  });
}

TEST_CASE("batch norm: a mean a million times the spread costs no accuracy") {
  for_each_isa([] {
    for (const Shape& s : std::vector<Shape>{{40, 3, 100}, {500, 7}, {100, 5, 3, 3}}) {
      Problem<double> p(s);
      for (Index i = 0; i < p.x.size(); ++i) p.x[i] += 1e6;
      Problem<float> q(s);
      for (Index i = 0; i < q.x.size(); ++i) q.x[i] = q.x[i] + 1024 * 8;
      p.train(), q.train();
      for (Index c = 0; c < s[1]; ++c) {
        REQUIRE(near(p.var[c], statistics_of(p.x, places(p.x, c)).var, 1e-10));
        REQUIRE(near(q.var[c], statistics_of(q.x, places(q.x, c)).var, 1e-5));
        REQUIRE(ulps(q.mean[c], statistics_of(q.x, places(q.x, c)).mean) <= 1);
      }
    }
  });
}

TEST_CASE("batch norm: an outlier in any place costs the variance no more than a digit") {
  for_each_isa([] {
    for (const Index where : {0, 1, 64, 255}) {
      Problem<float> p({256, 1});
      p.x[where] = 1e6f;
      p.train();
      REQUIRE(near(p.var[0] / statistics_of(p.x, places(p.x, 0)).var, 1, 5e-6));  // nine times the rounding of a sum
    }
  });
}

TEST_CASE("batch norm: a constant channel gives exactly beta") {
  for_each_isa([] {
    for (const Shape& s : std::vector<Shape>{{6, 2, 81}, {300, 5}}) {
      Problem<float> p(s);
      for (Index i = 0; i < p.x.size(); ++i) p.x[i] = 0.1f;
      p.train();
      for (Index c = 0; c < s[1]; ++c) {
        REQUIRE(p.var[c] == 0);
        REQUIRE(p.mean[c] == 0.1f);
        REQUIRE(p.y[places(p.y, c)[0]] == p.beta[c]);
      }
    }
  });
}

TEST_CASE("batch norm: NaN stays in its channel") {
  for_each_isa([] {
    for (const Shape& s : std::vector<Shape>{{3, 4, 100}, {9, 17}, {2, 9, 2, 2}}) {
      Problem<float> p(s), q(s);
      p.train(), p.backward();
      q.x[places(q.x, 2)[1]] = NAN;
      q.train(), q.backward();
      for (Index c = 0; c < s[1]; ++c)
        for (const Index i : places(p.x, c)) {
          REQUIRE((c == 2 ? std::isnan(q.y[i]) : q.y[i] == p.y[i]));
          REQUIRE((c == 2 ? std::isnan(q.dx[i]) : q.dx[i] == p.dx[i]));
        }
    }
  });
}

TEST_CASE("batch norm: nothing to normalise") {
  for_each_isa([] {
    Problem<float> none({0, 3});
    none.train(), none.backward();
    REQUIRE(std::isnan(none.mean[1]));
    REQUIRE(std::isnan(none.var[2]));
    REQUIRE(none.dbeta[0] == 0);
    for (const Shape& s : std::vector<Shape>{{4, 0}, {4, 0, 100}, {4, 3, 0}, {0, 0}}) {
      Problem<double> p(s);
      p.train(), p.backward();
      REQUIRE(p.guards_intact());
    }
  });
}

TEST_CASE("batch norm: the same bits for any number of threads") {
  for_each_isa([] {
    check_thread_count<float>({20, 24, 20, 20});
    check_thread_count<double>({300, 1500});
    check_thread_count<float>({64, 70, 5, 5});
  });
}
