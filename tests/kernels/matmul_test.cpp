// Matrix products against the definition of their bits (matmul.h), written as three loops.
#include <string>

#include <gradus/tests/kernels/gemm_cases.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Whether the instruction set in use rounds a multiply-add once: told by (1 + e)(1 - e) - 1 = -e^2, which two roundings lose.
template <class T> bool fuses() {
  const T e = std::numeric_limits<T>::epsilon() / 2;
  const T a[2] = {1, 1 + 2 * e}, b[2] = {-1, 1 - 2 * e};
  T c = 7;
  cpu::gemm(dtype_of<T>, {.m = 1, .n = 1, .k = 2, .lda = 2, .ldb = 1, .ldc = 1}, &c, a, b, nullptr, {});
  return c != 0;
}

template <class T> std::vector<T> normals(Index n, std::uint32_t seed) {
  Buffer<T> x(Shape{n});
  fill_normal(x, seed);
  return {x.data(), x.data() + n};
}

/// What a product needs. The operands are vectors no longer than they must be: under the address sanitizer a read past the end is seen.
template <class T> struct Problem {
  Gemm g;
  std::vector<T> a, b, bias;
  Buffer<T> c;
  bool biased;

  static Index last(Index batch, Index stride, Index rows, Index ld, Index columns) {
    return rows > 0 && columns > 0 && batch > 0 ? (batch - 1) * stride + (rows - 1) * ld + columns : 0;
  }
  Problem(const Gemm& gemm, bool with_bias, std::uint32_t seed)
      : g(gemm),
        a(normals<T>(last(g.batch, g.stride_a, g.transpose_a ? g.k : g.m, g.lda, g.transpose_a ? g.m : g.k), seed)),
        b(normals<T>(last(g.batch, g.stride_b, g.transpose_b ? g.n : g.k, g.ldb, g.transpose_b ? g.k : g.n), seed + 1)),
        bias(normals<T>(g.n, seed + 2)),
        c(Shape{last(g.batch, g.stride_c, g.m, g.ldc, g.n)}),
        biased(with_bias) {
    fill_normal(c, seed + 3);
  }

  T at_a(Index batch, Index i, Index p) const { return a[batch * g.stride_a + (g.transpose_a ? p * g.lda + i : i * g.lda + p)]; }
  T at_b(Index batch, Index p, Index j) const { return b[batch * g.stride_b + (g.transpose_b ? j * g.ldb + p : p * g.ldb + j)]; }

  T defined(Index batch, Index i, Index j, T before, bool fused) const {
    T c_ij = 0;
    for (Index k0 = 0; k0 == 0 || k0 < g.k; k0 += kGemmDepth) {
      T sum = 0;
      for (Index p = k0; p < g.k && p < k0 + kGemmDepth; ++p) {
        const T x = at_a(batch, i, p), y = at_b(batch, p, j);
        volatile T product = x * y;
        sum = fused ? std::fma(x, y, sum) : product + sum;
      }
      c_ij = k0 > 0 ? c_ij + sum : g.accumulate ? before + sum : sum;
    }
    return biased ? c_ij + bias[j] : c_ij;
  }
  Buffer<T> expected(bool fused) const {
    Buffer<T> y = c;
    for (Index batch = 0; batch < g.batch; ++batch)
      for (Index i = 0; i < g.m; ++i)
        for (Index j = 0; j < g.n; ++j) {
          T& at = y[batch * g.stride_c + i * g.ldc + j];
          at = defined(batch, i, j, at, fused);
        }
    return y;
  }
  Buffer<T> computed() const {
    Buffer<T> y = c;
    std::vector<double> scratch(cpu::gemm_workspace_bytes(dtype_of<T>, g) / sizeof(double) + 1);
    cpu::gemm(dtype_of<T>, g, y.data(), a.data(), b.data(), biased ? bias.data() : nullptr,
              {scratch.data(), scratch.size() * sizeof(double)});
    return y;
  }
};

template <class T> void check(const Gemm& g, bool bias = false) {
  constexpr std::uint32_t kSeed = 11;
  INFO(text(g), (bias ? " bias" : ""), " f", 8 * sizeof(T), ", seed ", kSeed);
  const Problem<T> problem(g, bias, kSeed);
  const Buffer<T> y = problem.computed();
  REQUIRE(y.same_bits(problem.expected(fuses<T>())));
  REQUIRE(y.guards_intact());
}
void check_both(const Gemm& g, bool bias = false) {
  check<float>(g, bias);
  check<double>(g, bias);
}

template <class F> void for_each_transpose(const F& f) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) f(ta, tb);
}

}  // namespace

TEST_CASE("gemm: small products of every shape have the defined bits") {
  for_each_isa([] {
    for (const Index m : {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 13})
      for (const Index n : {0, 1, 2, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40})
        for (const Index k : {0, 1, 2, 3, 5, 8, 10, 17})
          for_each_transpose([&](bool ta, bool tb) { check_both(shape(m, n, k, ta, tb), (m + n + k) % 2 == 1); });
  });
}

TEST_CASE("gemm: k blocks, row blocks and packing have the defined bits") {
  for_each_isa([] {
    for_each_transpose([](bool ta, bool tb) {
      for (const Index k : {255, 256, 257, 263, 520}) {
        check_both(shape(1, 37, k, ta, tb), true);
        check_both(shape(3, 9, k, ta, tb));
        check_both(shape(11, 21, k, ta, tb), true);
        check_both(shape(29, 1, k, ta, tb));
      }
      check<float>(shape(200, 270, 300, ta, tb), true);  // packed rows and columns
      check<double>(shape(197, 140, 260, ta, tb), true);
      check<float>(shape(250, 70, 130, ta, tb));   // rows in place, kept columns
      check<float>(shape(193, 1100, 20, ta, tb));  // more than one block of columns
      check<float>(shape(20, 300, 200, ta, tb));
    });
  });
}

TEST_CASE("gemm: leading dimensions and accumulation") {
  for_each_isa([] {
    for_each_transpose([](bool ta, bool tb) {
      for (const Index m : {1, 3, 6, 14})
        for (const Index n : {1, 3, 8, 21}) {
          Gemm g = shape(m, n, 9, ta, tb, 3);
          check_both(g);
          g.accumulate = true;
          check_both(g);
          check_both(g, true);
          g.k = 0;
          check_both(g, true);
          g = shape(m, n, 300, ta, tb, 1);
          g.accumulate = true;
          check_both(g, true);
        }
    });
    check_both({.m = 4, .n = 9, .k = 1, .lda = 1, .ldb = 0, .ldc = 9});  // one row of b: its leading dimension is never used
  });
}

TEST_CASE("gemm: batches at strides, one operand repeated") {
  for_each_isa([] {
    for_each_transpose([](bool ta, bool tb) {
      for (const Index m : {1, 5, 9})
        for (const Index n : {1, 6, 18}) {
          Gemm g = shape(m, n, 7, ta, tb);
          g.batch = 5;
          g.stride_a = m * 7, g.stride_b = n * 7, g.stride_c = m * n;
          check_both(g, true);
          g.stride_b = 0;
          check_both(g, true);
          g.stride_a = 0, g.stride_b = n * 7 + 2, g.stride_c = m * n + 3;
          check_both(g);
          g.batch = 0;
          check_both(g);
        }
    });
  });
}

TEST_CASE("gemm: any number of threads gives the same bits") {
  for_each_isa([] {
    for (const int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      const PoolScope scope(pool);
      INFO(threads, " threads");
      for_each_transpose([](bool ta, bool tb) { check<float>(shape(210, 290, 100, ta, tb), true); });
      check<float>(shape(1, 4000, 300, false, true));
      check<float>(shape(3000, 1, 200, false, false));
      check<double>(shape(100, 200, 270, false, true), true);
      Gemm g = shape(24, 16, 24, false, true);
      g.batch = 130;
      g.stride_a = 24 * 24, g.stride_b = 16 * 24, g.stride_c = 24 * 16;
      check<float>(g);
    }
  });
}

TEST_CASE("gemm: NaN and infinity stay in their row and column") {
  for_each_isa([] {
    for_each_transpose([](bool ta, bool tb) {
      for (const Index m : {2, 3, 20}) {
        const Gemm g = shape(m, 19, 11, ta, tb);
        Problem<float> problem(g, false, 5);
        problem.a[ta ? 4 * g.lda + 1 : g.lda + 4] = static_cast<float>(kNaN);             // a(1, 4)
        problem.b[tb ? 18 * g.ldb + 4 : 4 * g.ldb + 18] = static_cast<float>(kInfinity);  // b(4, 18)
        const Buffer<float> y = problem.computed();
        for (Index i = 0; i < m; ++i)
          for (Index j = 0; j < g.n; ++j) {
            CAPTURE(i);
            CAPTURE(j);
            if (i == 1) REQUIRE(std::isnan(y[i * g.ldc + j]));
            else REQUIRE(std::isinf(y[i * g.ldc + j]) == (j == 18));
          }
      }
    });
  });
}

TEST_CASE("gemm: scratch does not grow with the product") {
  const auto bytes = [](Index size) { return cpu::gemm_workspace_bytes(DType::f32, shape(size, size, size, false, true)); };
  CHECK(bytes(64) == 0);
  CHECK(bytes(4096) == bytes(65536));
  CHECK(bytes(65536) <= (2u << 20));
}
