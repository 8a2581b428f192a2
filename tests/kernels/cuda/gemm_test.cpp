// Matrix products on the device. Every version has the same bits (gemm.h), so each is compared with three loops that follow their
// definition, and cuda::gemm too where it uses none of the vendor's.
#include <map>
#include <string>

#include <gradus/kernels/cuda/column_major.h>
#include <gradus/kernels/cuda/gemm.h>
#include <gradus/kernels/cuda/vendor.h>
#include <gradus/tests/kernels/cuda/support.h>
#include <gradus/tests/kernels/gemm_cases.h>
#if defined(GRADUS_CUDA_EMULATED)
#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/machine.h>
#endif

using namespace gradus;
using namespace gradus::testing;

namespace {

Index last(Index batch, Index stride, Index rows, Index ld, Index columns) {
  return rows > 0 && columns > 0 && batch > 0 ? (batch - 1) * stride + (rows - 1) * ld + columns : 0;
}

/// What a product needs; arrays are no longer than they must be, so that a read past an end is seen.
template <class T> struct Problem {
  Gemm g;
  std::vector<T> a, b, bias, c;

  Problem(const Gemm& gemm, bool biased, unsigned seed)
      : g(gemm),
        a(random_values<T>(last(g.batch, g.stride_a, g.transpose_a ? g.k : g.m, g.lda, g.transpose_a ? g.m : g.k), seed, -1, 1)),
        b(random_values<T>(last(g.batch, g.stride_b, g.transpose_b ? g.n : g.k, g.ldb, g.transpose_b ? g.k : g.n), seed + 1, -1, 1)),
        bias(random_values<T>(biased ? g.n : 0, seed + 2, -1, 1)),
        c(random_values<T>(last(g.batch, g.stride_c, g.m, g.ldc, g.n), seed + 3, -1, 1)) {}

  T at_a(Index item, Index i, Index p) const { return a[item * g.stride_a + (g.transpose_a ? p * g.lda + i : i * g.lda + p)]; }
  T at_b(Index item, Index p, Index j) const { return b[item * g.stride_b + (g.transpose_b ? j * g.ldb + p : p * g.ldb + j)]; }

  T defined(Index item, Index i, Index j, T before) const {
    const Index chunk = cuda::gemm_chunk(g.k);
    T total = 0;
    for (Index k0 = 0; k0 == 0 || k0 < g.k; k0 += chunk) {
      T sum = 0;
      for (Index p = k0; p < g.k && p < k0 + chunk; ++p) sum = std::fma(at_a(item, i, p), at_b(item, p, j), sum);
      sum += T(0);
      total = k0 > 0 ? total + sum : g.accumulate ? before + sum : sum;
    }
    return bias.empty() ? total : total + bias[static_cast<std::size_t>(j)];
  }
  std::vector<T> expected() const {
    std::vector<T> y = c;
    for (Index item = 0; item < g.batch; ++item)
      for (Index i = 0; i < g.m; ++i)
        for (Index j = 0; j < g.n; ++j) {
          T& at = y[static_cast<std::size_t>(item * g.stride_c + i * g.ldc + j)];
          at = defined(item, i, j, at);
        }
    return y;
  }

  /// By version 1 to 4, or 0: by cuda::gemm. `scratch`: what it asks for, or none.
  std::vector<T> computed(int version, int offset = 0, bool scratch = true, int offset_of_c = 0) const {
    const auto flat = [](const std::vector<T>& v) { return Shape{static_cast<Index>(v.size())}; };
    auto da = device_array(a, flat(a), offset), db = device_array(b, flat(b), offset), dbias = device_array(bias, flat(bias), 1);
    auto dc = device_array(c, flat(c), offset + offset_of_c);
    const std::size_t bytes = version == 0   ? cuda::gemm_workspace_bytes(dtype_of<T>, g)
                              : version == 4 ? cuda::gemm_version_workspace_bytes(dtype_of<T>, g)
                                             : 0;
    const DeviceWorkspace space = workspace(scratch ? bytes : 0);
    const void* const with = bias.empty() ? nullptr : dbias.data();
    if (version == 0) cuda::gemm(dtype_of<T>, g, dc.data(), da.data(), db.data(), with, space.workspace());
    else cuda::gemm_version(version, dtype_of<T>, g, dc.data(), da.data(), db.data(), with, space.workspace());
    return dc.values();
  }
};

/// While it lives, cuda::gemm is the hand-written one.
struct OwnKernels {
  bool before = cuda::use_vendor_libraries(false);
  ~OwnKernels() { cuda::use_vendor_libraries(before); }
};

template <class T> void check(const Gemm& g, bool biased = false, int offset = 0, int first_version = 0, int offset_of_c = 0) {
  constexpr unsigned kSeed = 11;
  const OwnKernels own;
  const Problem<T> problem(g, biased, kSeed);
  const std::vector<T> expected = problem.expected();
  for (int version = first_version; version <= cuda::kGemmVersions; ++version) {
    INFO(text(g), (biased ? " bias" : ""), " f", 8 * sizeof(T), ", version ", version, ", offset ", offset);
    check_same_bits(problem.computed(version, offset, true, offset_of_c), expected);
  }
}
void check_both(const Gemm& g, bool biased = false, int offset = 0) {
  check<float>(g, biased, offset);
  check<double>(g, biased, offset);
}

template <class F> void for_each_transpose(const F& f) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) f(ta, tb);
}

}  // namespace

TEST_CASE("cuda gemm: small products of every shape, all versions, have the defined bits") {
  for_each_transpose([](bool ta, bool tb) {
    for (const Index m : {1, 5, 17})
      for (const Index n : {1, 7, 16, 33})
        for (const Index k : {0, 1, 9, 20}) check_both(shape(m, n, k, ta, tb), (m + n + k) % 2 == 1, static_cast<int>(m + n) % 3);
    check_both(shape(0, 3, 4, ta, tb));
    check_both(shape(3, 0, 4, ta, tb));
  });
}

TEST_CASE("cuda gemm: tiles, their edges, vectors and single elements") {
  for_each_transpose([](bool ta, bool tb) {
    check<float>(shape(132, 136, 20, ta, tb), true);        // 128 x 128, whole vectors
    check<float>(shape(131, 133, 19, ta, tb), true);        // rows that begin anywhere
    check<float>(shape(132, 136, 20, ta, tb, 4), true, 1);  // bases that are not aligned
    check<float>(shape(70, 129, 36, ta, tb, 3), false);
    check<double>(shape(66, 70, 20, ta, tb), true);
    check<double>(shape(67, 65, 11, ta, tb, 1), true, 1);
    check_both(shape(7, 140, 24, ta, tb, 4), true);  // 16 x 128
    check_both(shape(140, 7, 24, ta, tb), true);     // 128 x 16
  });
}

TEST_CASE("cuda gemm: every tile adds to what is there and adds a bias, by vectors and by elements") {
  for_each_transpose([](bool ta, bool tb) {
    for (const auto& [m, n] : {std::pair<Index, Index>{132, 136}, {68, 72}, {67, 65}, {8, 140}, {140, 8}, {133, 9}})
      for (const int offset_of_c : {0, 1}) {  // the operands allow vectors where c does not
        Gemm g = shape(m, n, 20, ta, tb, 4);
        g.accumulate = true;
        check<float>(g, true, 0, n < 100 ? 3 : 4, offset_of_c);
        check<double>(g, true, 0, n < 100 ? 3 : 4, offset_of_c);
      }
  });
}

TEST_CASE("cuda gemm: chunks of depth, one after another and side by side, with the same bits") {
  for_each_transpose([](bool ta, bool tb) {
    for (const Index k : {1024, 1025, 2060}) {
      Gemm g = shape(9, 18, k, ta, tb);
      check<float>(g, true, 0, 1);
      g.accumulate = true;
      check<float>(g, true, 0, 4);
      check<double>(g, false, 1, 4);
    }
  });
  for_each_transpose([](bool ta, bool tb) {
    Gemm g = shape(5, 18, 6 * 1024 + 3, ta, tb);
    check_both(g, true);
    g.accumulate = true;
    check_both(g, true);
  });
  Gemm g = shape(4, 6, 2 * 1024 + 5, false, true);
  g.batch = 3, g.stride_a = 4 * g.k, g.stride_b = 6 * g.k, g.stride_c = 30;
  const Problem<float> problem(g, true, 3);
  CHECK(cuda::gemm_version_workspace_bytes(DType::f32, g) == 3 * 3 * 4 * 6 * 4);
  check_same_bits(problem.computed(4, 0, true), problem.expected());
  check_same_bits(problem.computed(4, 0, false), problem.expected());  // without scratch: one chunk after another
}

TEST_CASE("cuda gemm: leading dimensions, accumulation, batches, one operand repeated") {
  for_each_transpose([](bool ta, bool tb) {
    Gemm g = shape(14, 21, 9, ta, tb, 3);
    g.accumulate = true;
    check_both(g, true);
    g.k = 0;
    check_both(g, true);
    g = shape(9, 18, 7, ta, tb);
    g.batch = 5, g.stride_a = 63, g.stride_b = 126, g.stride_c = 162;
    check_both(g, true);
    g.stride_b = 0;
    check_both(g, true);
    g.stride_a = 0, g.stride_b = 130, g.stride_c = 165;
    check_both(g);
  });
  Gemm many = shape(3, 4, 5, false, true);
  many.batch = 300, many.stride_a = 15, many.stride_b = 20, many.stride_c = 12;
  check<float>(many);
  check_both({.m = 4, .n = 9, .k = 1, .lda = 1, .ldb = 0, .ldc = 9});  // one row of b: its leading dimension is never used
}

TEST_CASE("cuda gemm: a row does not depend on the rows beside it") {
  const OwnKernels own;
  for (const bool tb : {false, true}) {
    const Gemm g = shape(150, 90, 70, false, tb);
    const Problem<float> whole(g, true, 5);
    const std::vector<float> y = whole.computed(0);
    for (const auto& [first, rows] : {std::pair<Index, Index>{0, 1}, {149, 1}, {17, 10}, {40, 70}}) {
      Problem<float> part = whole;
      part.g.m = rows;
      part.a.assign(whole.a.begin() + first * g.lda, whole.a.begin() + (first + rows) * g.lda);
      part.c.resize(static_cast<std::size_t>(rows * g.ldc));
      check_same_bits(part.computed(0), std::vector<float>(y.begin() + first * g.ldc, y.begin() + (first + rows) * g.ldc));
    }
  }
}

TEST_CASE("cuda gemm: NaN and infinity stay in their row and column") {
  const OwnKernels own;
  for_each_transpose([](bool ta, bool tb) {
    for (const Index m : {2, 20, 70}) {
      const Gemm g = shape(m, 19, 11, ta, tb);
      Problem<float> problem(g, false, 5);
      problem.a[static_cast<std::size_t>(ta ? 4 * g.lda + 1 : g.lda + 4)] = std::nanf("");                                 // a(1, 4)
      problem.b[static_cast<std::size_t>(tb ? 18 * g.ldb + 4 : 4 * g.ldb + 18)] = std::numeric_limits<float>::infinity();  // b(4, 18)
      const std::vector<float> y = problem.computed(0);
      bool right = true;
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < g.n; ++j) {
          const float v = y[static_cast<std::size_t>(i * g.ldc + j)];
          right = right && (i == 1 ? std::isnan(v) : std::isinf(v) == (j == 18));
        }
      CHECK(right);
    }
  });
}

TEST_CASE("cuda gemm: scratch is bounded, and none where chunks do not pay") {
  const OwnKernels own;
  const auto bytes = [](Index m, Index n, Index k) { return cuda::gemm_workspace_bytes(DType::f32, shape(m, n, k, false, true)); };
  CHECK(bytes(512, 512, 1024) == 0);
  CHECK(bytes(10, 784, 4096) == 4 * 10 * 784 * 4);
  CHECK(bytes(8192, 8192, 8192) == 0);
  for (const Index side : {64, 256, 512, 1024}) CHECK(bytes(side, side, 1 << 20) <= (32u << 20));
  CHECK(cuda::gemm_chunk(1) == 1024);
  CHECK(cuda::gemm_chunk(65536) == 1024);
  CHECK(cuda::gemm_chunk(1 << 20) == 16384);
}

#if defined(GRADUS_CUDA_EMULATED)
namespace {

emulator::Counters counted(int version, const Gemm& g) {
  const Problem<float> problem(g, false, 9);
  const bool before = emulator::options().count;
  emulator::options().count = true;
  emulator::counters_by_kernel().clear();
  problem.computed(version);
  emulator::options().count = before;
  emulator::Counters sum;
  for (const auto& [name, counters] : emulator::counters_by_kernel())
    if (name.find("gemm_v") != std::string::npos) sum.add(counters);
  return sum;
}

}  // namespace

TEST_CASE("cuda gemm: each version moves what its formula says, fewer bytes than the one before, without bank conflicts") {
  double before = 0;
  for (const int version : {1, 2, 3, 4}) {
    const Gemm g = shape(256, 256, 64, false, false);
    const emulator::Counters c = counted(version, g);
    const double formula = cuda::gemm_version_bytes(version, DType::f32, g);
    INFO("version ", version, ": ", c.bytes_requested, " bytes requested, ", c.bytes_touched, " touched, formula ", formula);
    CHECK(static_cast<double>(c.bytes_requested) == doctest::Approx(formula).epsilon(0.01));
    if (version > 1) CHECK(static_cast<double>(c.bytes_touched) <= 1.1 * formula);
    if (version > 1) CHECK(static_cast<double>(c.bytes_touched) < 0.75 * before);
    CHECK(static_cast<double>(c.flops) == doctest::Approx(cuda::gemm_flops(g)).epsilon(0.05));
    if (version == 4) CHECK(c.load_sectors == 16 * c.load_requests);
    CHECK(c.shared_wavefronts == c.shared_ideal_wavefronts);
    before = static_cast<double>(c.bytes_touched);
  }
}

TEST_CASE("cuda gemm: version 4 has no bank conflicts with any transposes") {
  for_each_transpose([](bool ta, bool tb) {
    for (const auto& [m, n] : {std::pair<Index, Index>{128, 128}, {16, 128}, {128, 16}, {64, 64}}) {
      const Gemm g = shape(m, n, 64, ta, tb);
      const emulator::Counters c = counted(4, g);
      INFO(text(g));
      CHECK(c.shared_wavefronts == c.shared_ideal_wavefronts);
      CHECK(static_cast<double>(c.bytes_touched) <= 1.1 * cuda::gemm_version_bytes(4, DType::f32, g));
    }
  });
}
#endif

TEST_CASE("cuda gemm: a row-major product as a column-major one") {
  for_each_transpose([](bool ta, bool tb) {
    for (const auto& [m, n, k] : {std::tuple<Index, Index, Index>{3, 4, 5}, {1, 4, 5}, {3, 1, 5}, {3, 4, 1}, {1, 1, 1}}) {
      Gemm g = shape(m, n, k, ta, tb, 2);
      g.accumulate = ta, g.batch = 2, g.stride_a = 100, g.stride_b = tb ? 0 : 120, g.stride_c = 90;
      CHECK(cuda::blas_takes(g));
      const Problem<double> p(g, false, 4);
      const cuda::ColumnMajorGemm b = cuda::column_major(g);
      CHECK(b.lda >= (b.transpose_a ? b.k : b.m));
      CHECK(b.ldb >= (b.transpose_b ? b.n : b.k));
      CHECK(b.ldc >= b.m);
      std::vector<double> c = p.c;
      for (Index item = 0; item < b.batch; ++item)  // what BLAS says it computes, with A = g's b and B = g's a
        for (Index j = 0; j < b.n; ++j)
          for (Index i = 0; i < b.m; ++i) {
            double sum = 0;
            for (Index q = 0; q < b.k; ++q)
              sum = std::fma(p.a[static_cast<std::size_t>(item * b.stride_b + (b.transpose_b ? q * b.ldb + j : j * b.ldb + q))],
                             p.b[static_cast<std::size_t>(item * b.stride_a + (b.transpose_a ? i * b.lda + q : q * b.lda + i))], sum);
            double& at = c[static_cast<std::size_t>(item * b.stride_c + j * b.ldc + i)];
            at = sum + b.beta * at;
          }
      check_close(c, p.expected(), 1e-15, 1e-15);
    }
  });
  Gemm g = shape(3, 4, 5, false, false);
  g.lda = 4;
  CHECK_FALSE(cuda::blas_takes(g));  // rows that overlap
  g = shape(3, 4, 0, false, false);
  CHECK_FALSE(cuda::blas_takes(g));
  g = {.m = 4, .n = 9, .k = 1, .lda = 1, .ldb = 0, .ldc = 9};
  CHECK(cuda::blas_takes(g));
  CHECK(cuda::column_major(g).lda == 9);
}
