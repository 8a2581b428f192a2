// Random kernels: published answers, pinned values, distributions, and the promise that an element depends on its address alone.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <gradus/kernels/random.h>
#include <gradus/kernels/random_math.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Ids = Buffer<std::int64_t>;
constexpr Key kKey{0x0123456789ABCDEFu, 3};
const ConstArray kNoIds;

/// The word that element `e` of row `row` owns.
std::uint32_t word_of(Key key, std::int64_t row, std::int64_t e) {
  return philox_block(key, static_cast<std::uint32_t>(e / 4), row).word[e % 4];
}
std::uint64_t long_word_of(Key key, std::int64_t row, std::int64_t e) {
  return std::uint64_t{word_of(key, row, e)} << 32 | word_of({key.seed, key.stream ^ 0x80000000u}, row, e);
}

// Naive references, one element at a time; the normals in extended precision.
double uniform_reference(float, Key key, std::int64_t row, std::int64_t e) { return std::ldexp(double(word_of(key, row, e) >> 8), -24); }
double uniform_reference(double, Key key, std::int64_t row, std::int64_t e) {
  return std::ldexp(double(long_word_of(key, row, e) >> 11), -53);
}
template <class T> long double normal_reference(Key key, std::int64_t row, std::int64_t e) {
  constexpr int kBits = sizeof(T) * 8;
  const std::int64_t first = e / 2 * 2;
  const auto word = [&](std::int64_t i) -> std::uint64_t { return kBits == 32 ? word_of(key, row, i) : long_word_of(key, row, i); };
  const long double u = std::ldexp(static_cast<long double>(static_cast<T>(word(first) >> 1) + T(0.5)), 1 - kBits);
  // Reduced to an eighth of a turn before pi enters: cos(angle) near a zero is then as exact as elsewhere.
  const long double turn = std::ldexp(static_cast<long double>(word(first + 1)), -kBits), quarter = std::nearbyint(4 * turn);
  const long double rest = 2 * std::acos(-1.0L) * (turn - quarter / 4), sin = std::sin(rest), cos = std::cos(rest);
  const long double turned[] = {cos, sin, -sin, cos, -cos, -sin, sin, -cos};  // (cos, sin) after 0, 1, 2, 3 quarters
  return std::sqrt(-2 * std::log(u)) * turned[static_cast<int>(quarter) % 4 * 2 + e % 2];
}

/// Where an element of the array is drawn, by the rule of random.h.
struct Address {
  std::int64_t row, element;
};
Address address_of(const Shape& shape, const Ids* ids, std::int64_t i) {
  if (!ids && shape.rank() < 2) return {0, i};
  const std::int64_t length = shape.product(1, shape.rank());
  return {ids ? (*ids)[i / length] : i / length, i % length};
}

std::vector<Shape> shapes() {
  return {{}, {0}, {1}, {7}, {31}, {32}, {33}, {1000}, {40000}, {3, 1}, {5, 33}, {0, 4}, {4, 0}, {2, 3, 5}, {2, 20000}, {700, 3}};
}
Ids some_ids(std::int64_t n) {
  Ids ids({n});
  for (std::int64_t i = 0; i < n; ++i) ids[i] = (i * 0x9E3779B97F4A7C15) ^ (i << 40);  // wide, some negative
  return ids;
}

/// check(shape, ids or null) over all shapes, with and without ids.
template <class F> void for_each_layout(const F& check) {
  for (const Shape& shape : shapes()) {
    INFO("shape " << to_string(shape));
    check(shape, static_cast<Ids*>(nullptr));
    if (shape.rank() == 0) continue;
    INFO("with row ids");
    Ids ids = some_ids(shape[0]);
    check(shape, &ids);
  }
}
ConstArray array_of(Ids* ids) { return ids ? ids->array() : kNoIds; }

template <class T> void check_uniform(const Shape& shape, Ids* ids) {
  Buffer<T> y(shape);
  cpu::uniform(y.array(), kKey, array_of(ids), -2, 6);
  REQUIRE(y.guards_intact());
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const Address a = address_of(shape, ids, i);
    REQUIRE(y[i] == static_cast<T>(-2 + 8 * uniform_reference(T{}, kKey, a.row, a.element)));
  }
}

template <class T> void check_normal(const Shape& shape, Ids* ids) {
  Buffer<T> y(shape);
  cpu::normal(y.array(), kKey, array_of(ids), 0, 1);
  REQUIRE(y.guards_intact());
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const Address a = address_of(shape, ids, i);
    REQUIRE(ulps(y[i], normal_reference<T>(kKey, a.row, a.element)) < 5);  // what random_math.h states
  }
}

double mean_of(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size()); }
double moment_of(const std::vector<double>& x, double centre, int power) {
  double sum = 0;
  for (const double v : x) sum += std::pow(v - centre, power);
  return sum / static_cast<double>(x.size());
}
/// Pearson's statistic over equally likely cells, in standard deviations from its expectation.
double chi_square_sigmas(const std::vector<std::int64_t>& counts) {
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const double expected = total / static_cast<double>(counts.size()), freedom = static_cast<double>(counts.size()) - 1;
  double statistic = 0;
  for (const std::int64_t c : counts) statistic += (double(c) - expected) * (double(c) - expected) / expected;
  return (statistic - freedom) / std::sqrt(2 * freedom);
}
double normal_cdf(double z) { return std::erfc(-z * std::sqrt(0.5)) / 2; }

template <class T> std::vector<double> sample(void (*draw)(Array, Key, ConstArray, double, double), Key key, double a, double b) {
  Buffer<T> y({400000});
  draw(y.array(), key, kNoIds, a, b);
  return {y.data(), y.data() + y.size()};
}

std::vector<std::int64_t> permutation_of(std::int64_t n, Key key) {
  Ids index({n});
  std::vector<std::uint64_t> scratch(cpu::permutation_workspace_bytes(n) / 8 + 1);
  cpu::permutation(index.array(), key, {scratch.data(), scratch.size() * 8});
  REQUIRE(index.guards_intact());
  return {index.data(), index.data() + n};
}

}  // namespace

TEST_CASE("philox: the published answers of Philox4x32-10") {
  // Random123's kat_vectors (Salmon et al. 2011).
  struct Answer {
    std::uint64_t key;
    std::uint32_t counter[4], word[4];
  };
  const Answer answers[] = {
      {0, {0, 0, 0, 0}, {0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}},
      {~std::uint64_t{0}, {~0u, ~0u, ~0u, ~0u}, {0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}},
      {0x299F31D0A4093822u, {0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}},
  };
  for (const Answer& a : answers) {
    const PhiloxBlock b = philox(a.key, a.counter[0], a.counter[1], a.counter[2], a.counter[3]);
    for (int i = 0; i < 4; ++i) CHECK(b.word[i] == a.word[i]);
  }
}

TEST_CASE("philox: keys that are folded differently share nothing") {
  std::vector<std::uint64_t> seeds;
  Generator rng(7);
  for (int i = 0; i < 1000; ++i) seeds.push_back(rng.next_key().seed);
  for (std::uint64_t n = 0; n < 1000; ++n) seeds.push_back(fold(kKey, n).seed);
  for (std::uint32_t stream = 0; stream < 1000; ++stream) seeds.push_back(fold({kKey.seed, stream}, 5000).seed);
  std::sort(seeds.begin(), seeds.end());
  CHECK(std::adjacent_find(seeds.begin(), seeds.end()) == seeds.end());
}

TEST_CASE("uniform: every element is the documented function of its address") {
  for_each_isa([] {
    for_each_layout([](const Shape& shape, Ids* ids) {
      check_uniform<float>(shape, ids);
      check_uniform<double>(shape, ids);
    });
  });
}

TEST_CASE("normal: every element is the documented function of its address") {
  for_each_isa([] {
    for_each_layout([](const Shape& shape, Ids* ids) {
      check_normal<float>(shape, ids);
      check_normal<double>(shape, ids);
    });
  });
}

TEST_CASE("normal, uniform: vectors and scalars give the same bits") {
  for_each_isa([] {
    Buffer<float> u({4099}), z({4099});
    cpu::uniform(u.array(), kKey, kNoIds, -1, 0.3);
    cpu::normal(z.array(), kKey, kNoIds, 0.5, 3);
    const UniformRange<float> range{-1, 0.3f - -1.0f, std::nextafter(0.3f, -1.0f)};
    for (std::int64_t i = 0; i < u.size(); i += 2) {
      float pair[2];
      box_muller<ScalarLanes32>(word_of(kKey, 0, i), word_of(kKey, 0, i + 1), &pair[0], &pair[1]);
      for (std::int64_t k = 0; k < 2 && i + k < u.size(); ++k) {
        REQUIRE(u[i + k] == uniform_of<ScalarLanes32>(word_of(kKey, 0, i + k), range));
        REQUIRE(z[i + k] == multiply_add(pair[k], 3.0f, 0.5f));
      }
    }
  });
}

TEST_CASE("uniform, normal, bernoulli: first values") {
  Buffer<float> u({5}), z({5});
  Buffer<double> z64({5});
  Mask b({16});
  cpu::uniform(u.array(), {7, 0}, kNoIds, 0, 1);
  cpu::normal(z.array(), {7, 0}, kNoIds, 0, 1);
  cpu::normal(z64.array(), {7, 0}, kNoIds, 0, 1);
  cpu::bernoulli(b.array(), {7, 0}, kNoIds, 0.5);
  const float uniforms[] = {0x1.e8c0f4p-1f, 0x1.8013f2p-1f, 0x1.d3abap-4f, 0x1.5edacp-4f, 0x1.a0ba38p-2f},
              normals[] = {0x1.31bb0cp-12f, -0x1.3829dp-2f, 0x1.c9ebfep+0f, 0x1.116018p+0f, 0x1.816feep-2f};
  const double normals64[] = {0x1.31bb0a57fb951p-12, -0x1.3829cef550c79p-2, 0x1.c9ec006d63569p+0, 0x1.1160171ecac18p+0,
                              0x1.816fec21b5076p-2};
  for (int i = 0; i < 5; ++i) {
    CHECK(u[i] == uniforms[i]);
    CHECK(z[i] == normals[i]);
    CHECK(z64[i] == normals64[i]);
  }
  std::string bits;
  for (int i = 0; i < 16; ++i) bits += b[i] ? '1' : '0';
  CHECK(bits == "0011101011001111");
  std::string order;
  for (const std::int64_t i : permutation_of(10, {7, 0})) order += std::to_string(i);
  CHECK(order == "8932641507");
}

TEST_CASE("random: f64 draws agree with f32 draws to f32 accuracy") {
  Buffer<float> u({1000}), z({1000});
  Buffer<double> u64({1000}), z64({1000});
  cpu::uniform(u.array(), kKey, kNoIds, 0, 1);
  cpu::uniform(u64.array(), kKey, kNoIds, 0, 1);
  cpu::normal(z.array(), kKey, kNoIds, 0, 1);
  cpu::normal(z64.array(), kKey, kNoIds, 0, 1);
  for (std::int64_t i = 0; i < 1000; ++i) {
    CHECK(std::fabs(u[i] - u64[i]) <= 0x1p-24);
    CHECK(std::fabs(z[i] - z64[i]) < 1e-5);
  }
}

TEST_CASE("random: a batch split with row ids gives the same bits") {
  const std::int64_t n = 37, width = 21;
  Ids ids = some_ids(n);
  Buffer<float> whole({n, width});
  cpu::normal(whole.array(), kKey, ids.array(), 0, 1);
  std::mt19937 rng(5);
  for (std::int64_t begin = 0; begin < n;) {
    const std::int64_t rows = std::min<std::int64_t>(n - begin, 1 + rng() % 5);
    Ids part_ids({rows});
    for (std::int64_t i = 0; i < rows; ++i) part_ids[i] = ids[begin + i];
    Buffer<float> part({rows, width});
    cpu::normal(part.array(), kKey, part_ids.array(), 0, 1);
    REQUIRE(std::memcmp(part.data(), whole.data() + begin * width, static_cast<std::size_t>(rows * width) * sizeof(float)) == 0);
    begin += rows;
  }
}

TEST_CASE("random: the same bits for any thread count") {
  for_each_isa([] {
    const Shape shape{3, 50001};
    Buffer<float> u(shape), z(shape), drop(shape), u2(shape), z2(shape), drop2(shape), x(shape, 1.5f);
    Mask b(shape), b2(shape);
    const auto draw = [&](Buffer<float>& uniform, Buffer<float>& normal, Buffer<float>& dropped, Mask& mask) {
      cpu::uniform(uniform.array(), kKey, kNoIds, 0, 1);
      cpu::normal(normal.array(), kKey, kNoIds, 0, 1);
      cpu::dropout(dropped.array(), x.array(), kKey, kNoIds, 0.4);
      cpu::bernoulli(mask.array(), kKey, kNoIds, 0.4);
    };
    draw(u, z, drop, b);
    ThreadPool pool(3);
    PoolScope scope(pool);
    draw(u2, z2, drop2, b2);
    CHECK(u.same_bits(u2));
    CHECK(z.same_bits(z2));
    CHECK(drop.same_bits(drop2));
    CHECK(b.bytes.same_bits(b2.bytes));
  });
}

TEST_CASE("uniform: moments, cells, pairs, range") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    INFO("seed " << seed);
    for (const bool f64 : {false, true}) {
      const std::vector<double> x = f64 ? sample<double>(cpu::uniform, {seed, 0}, 0, 1) : sample<float>(cpu::uniform, {seed, 0}, 0, 1);
      const double n = static_cast<double>(x.size()), mean = mean_of(x);
      CHECK(std::fabs(mean - 0.5) < 4 * std::sqrt(1 / 12.0 / n));
      CHECK(std::fabs(moment_of(x, 0.5, 2) - 1 / 12.0) < 4 * std::sqrt(1 / 180.0 / n));
      std::vector<std::int64_t> cells(1000), pairs(32 * 32);
      for (std::size_t i = 0; i < x.size(); ++i) ++cells[static_cast<std::size_t>(x[i] * 1000)];
      for (std::size_t i = 0; i + 1 < x.size(); i += 2)
        ++pairs[static_cast<std::size_t>(x[i] * 32) * 32 + static_cast<std::size_t>(x[i + 1] * 32)];
      CHECK(std::fabs(chi_square_sigmas(cells)) < 4);
      CHECK(std::fabs(chi_square_sigmas(pairs)) < 4);
      CHECK(*std::min_element(x.begin(), x.end()) >= 0);
      CHECK(*std::max_element(x.begin(), x.end()) < 1);
    }
  }
}

TEST_CASE("uniform: the end of the range is never drawn") {
  // At 1 + 2^-22 u every second rounding would go up.
  Buffer<float> y({100000});
  cpu::uniform(y.array(), kKey, kNoIds, 1, 1 + 0x1p-22);
  CHECK(*std::max_element(y.data(), y.data() + y.size()) < 1 + 0x1p-22f);
  CHECK(*std::min_element(y.data(), y.data() + y.size()) == 1);
  cpu::uniform(y.array(), kKey, kNoIds, 0.25, 0.25);
  CHECK(std::all_of(y.data(), y.data() + y.size(), [](float v) { return v == 0.25f; }));
}

TEST_CASE("normal: moments, cells, tails, independence") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    INFO("seed " << seed);
    for (const bool f64 : {false, true}) {
      std::vector<double> z = f64 ? sample<double>(cpu::normal, {seed, 0}, 3, 2) : sample<float>(cpu::normal, {seed, 0}, 3, 2);
      for (double& v : z) v = (v - 3) / 2;
      const double n = static_cast<double>(z.size());
      CHECK(std::fabs(mean_of(z)) < 4 / std::sqrt(n));
      CHECK(std::fabs(moment_of(z, 0, 2) - 1) < 4 * std::sqrt(2 / n));
      CHECK(std::fabs(moment_of(z, 0, 3)) < 4 * std::sqrt(15 / n));
      CHECK(std::fabs(moment_of(z, 0, 4) - 3) < 4 * std::sqrt(96 / n));
      std::vector<std::int64_t> cells(200), pairs(16 * 16);
      double beyond_four = 0, products = 0;
      for (std::size_t i = 0; i < z.size(); ++i) {
        ++cells[static_cast<std::size_t>(normal_cdf(z[i]) * 200)];
        beyond_four += std::fabs(z[i]) > 4;
        if (i % 2) products += z[i] * z[i - 1];
        if (i % 2) ++pairs[static_cast<std::size_t>(normal_cdf(z[i]) * 16) * 16 + static_cast<std::size_t>(normal_cdf(z[i - 1]) * 16)];
      }
      CHECK(std::fabs(chi_square_sigmas(cells)) < 4);
      CHECK(std::fabs(chi_square_sigmas(pairs)) < 4);
      CHECK(std::fabs(products) < 4 * std::sqrt(n / 2));
      const double tail = 2 * normal_cdf(-4) * n;
      CHECK(std::fabs(beyond_four - tail) < 4 * std::sqrt(tail));
    }
  }
}

TEST_CASE("bernoulli: exactly the words below the threshold") {
  for_each_isa([] {
    for_each_layout([](const Shape& shape, Ids* ids) {
      for (const double p : {0.0, 0x1p-33, 0x1p-32, 0.3, 0.5, 1 - 0x1p-33, 1.0}) {
        Mask y(shape);
        cpu::bernoulli(y.array(), kKey, array_of(ids), p);
        REQUIRE(y.bytes.guards_intact());
        const double threshold = std::nearbyint(p * 0x1p32);
        for (std::int64_t i = 0; i < y.bytes.size(); ++i) {
          const Address a = address_of(shape, ids, i);
          REQUIRE(y[i] == (word_of(kKey, a.row, a.element) < threshold));
          REQUIRE(y.bytes[i] <= 1);
        }
      }
    });
  });
}

TEST_CASE("bernoulli: frequency") {
  for (const double p : {0.01, 0.3, 0.9}) {
    Mask y({400000});
    cpu::bernoulli(y.array(), {11, 0}, kNoIds, p);
    const double hits = static_cast<double>(std::count(y.bytes.data(), y.bytes.data() + y.bytes.size(), 1));
    CHECK(std::fabs(hits - p * 400000) < 4 * std::sqrt(400000 * p * (1 - p)));
  }
}

namespace {
template <class T> void check_dropout(const Shape& shape, Ids* ids, double p) {
  Buffer<T> x(shape), y(shape);
  fill_normal(x, 17);
  Mask keep(shape);
  cpu::bernoulli(keep.array(), kKey, array_of(ids), 1 - p);
  cpu::dropout(y.array(), x.array(), kKey, array_of(ids), p);
  REQUIRE(y.guards_intact());
  for (std::int64_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == (keep[i] ? x[i] * static_cast<T>(1 / (1 - p)) : T(0)));
  cpu::dropout(x.array(), x.array(), kKey, array_of(ids), p);  // in place
  REQUIRE(x.same_bits(y));
}
}  // namespace

TEST_CASE("dropout: keeps what bernoulli(1 - p) keeps, scaled") {
  for_each_isa([] {
    for_each_layout([](const Shape& shape, Ids* ids) {
      for (const double p : {0.0, 0.25, 0.9, 1.0}) {
        check_dropout<float>(shape, ids, p);
        check_dropout<double>(shape, ids, p);
      }
    });
  });
}

TEST_CASE("dropout: NaN shows whether it is kept or not") {
  for_each_isa([] {
    Buffer<float> x({40}, std::nanf("")), y({40});
    cpu::dropout(y.array(), x.array(), kKey, kNoIds, 0.5);
    CHECK(std::all_of(y.data(), y.data() + y.size(), [](float v) { return std::isnan(v); }));
  });
}

TEST_CASE("permutation: the stable order of the words") {
  for (const std::int64_t n : {0, 1, 2, 3, 5, 4097, 70000}) {
    INFO("n " << n);
    std::vector<std::int64_t> expected(static_cast<std::size_t>(n));
    std::iota(expected.begin(), expected.end(), 0);
    std::stable_sort(expected.begin(), expected.end(),
                     [](std::int64_t a, std::int64_t b) { return word_of(kKey, 0, a) < word_of(kKey, 0, b); });
    CHECK(permutation_of(n, kKey) == expected);
  }
}

TEST_CASE("permutation: every order of four is as frequent, and so is every place") {
  std::vector<std::int64_t> orders(24), places(20 * 20);
  for (std::uint64_t i = 0; i < 24000; ++i) {
    const auto p = permutation_of(4, fold(kKey, i));
    ++orders[static_cast<std::size_t>(6 * p[0] + 2 * (p[1] - (p[1] > p[0])) + (p[2] > p[3]))];
  }
  CHECK(std::fabs(chi_square_sigmas(orders)) < 4);
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const auto p = permutation_of(20, fold(kKey, i));
    for (std::size_t k = 0; k < 20; ++k) ++places[k * 20 + static_cast<std::size_t>(p[k])];
  }
  CHECK(chi_square_sigmas(places) < 4);
}
