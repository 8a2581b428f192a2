// Random kernels on the device give the CPU's bits.
#include <algorithm>
#include <optional>

#include <gradus/kernels/random.h>
#include <gradus/tests/kernels/cuda/any_array.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

constexpr Key kKey{0x0123456789ABCDEFu, 3};

std::vector<Shape> shapes() {
  return {{}, {0}, {1}, {7}, {32}, {33}, {1000}, {5000}, {3, 1}, {5, 33}, {5, 32}, {0, 4}, {4, 0}, {2, 3, 5}, {2, 2, 1024}, {300, 3}};
}
std::vector<std::int64_t> some_ids(std::int64_t n) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i * i * 977) - 5;
  if (n > 1) ids[1] = std::int64_t{1} << 40;
  return ids;
}

/// draw(y, row_ids) on both sides, for every shape, with and without row ids, at two alignments.
template <class Device, class Cpu> void compare_draws(DType dtype, const Device& on_device, const Cpu& on_cpu) {
  for (const Shape& shape : shapes())
    for (const bool with_ids : {false, true}) {
      if (with_ids && shape.rank() == 0) continue;
      const std::int64_t rows = shape.rank() ? shape[0] : 0;
      const AnyArray ids({rows}, DType::i64, some_ids(rows));
      AnyArray want(shape, dtype);
      on_cpu(want.array(), with_ids ? ids.array() : ConstArray());
      for (const int offset : {0, 1}) {
        INFO(to_string(shape) << " " << text(dtype) << (with_ids ? " with ids" : "") << " offset " << offset);
        AnyOnDevice y(shape, dtype, offset), device_ids(ids);
        on_device(y.array(), with_ids ? device_ids.array() : ConstArray());
        check_same_bits(y.read(), want);
      }
    }
}

}  // namespace

TEST_CASE("cuda random: uniforms and normals are the CPU's, bit for bit") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    compare_draws(
        dtype, [](Array y, ConstArray ids) { cuda::uniform(y, kKey, ids, -2, 3.5); },
        [](Array y, ConstArray ids) { cpu::uniform(y, kKey, ids, -2, 3.5); });
    compare_draws(
        dtype, [](Array y, ConstArray ids) { cuda::uniform(y, kKey, ids, 1, 1); },
        [](Array y, ConstArray ids) { cpu::uniform(y, kKey, ids, 1, 1); });
    compare_draws(
        dtype, [](Array y, ConstArray ids) { cuda::normal(y, kKey, ids, 0.5, 2); },
        [](Array y, ConstArray ids) { cpu::normal(y, kKey, ids, 0.5, 2); });
  }
}

TEST_CASE("cuda random: many normals, bit for bit") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    AnyArray want({50000}, dtype);
    cpu::normal(want.array(), {99, 1}, {}, 0, 1);
    AnyOnDevice y({50000}, dtype);
    cuda::normal(y.array(), {99, 1}, {}, 0, 1);
    check_same_bits(y.read(), want);
  }
}

TEST_CASE("cuda random: masks and dropout are the CPU's, bit for bit") {
  for (const double p : {0.0, 0.3, 1.0, 1e-12})
    compare_draws(
        DType::boolean, [=](Array y, ConstArray ids) { cuda::bernoulli(y, kKey, ids, p); },
        [=](Array y, ConstArray ids) { cpu::bernoulli(y, kKey, ids, p); });
  for (const DType dtype : {DType::f32, DType::f64})
    for (const double p : {0.0, 0.25, 1.0}) {
      INFO("p " << p);
      std::optional<AnyArray> x;
      std::optional<AnyOnDevice> d;
      compare_draws(
          dtype,
          [&](Array y, ConstArray ids) {
            d.emplace(random_array(*y.shape, dtype, 3), 0);
            cuda::dropout(y, d->array(), kKey, ids, p);
          },
          [&](Array y, ConstArray ids) {
            x.emplace(random_array(*y.shape, dtype, 3));
            cpu::dropout(y, x->array(), kKey, ids, p);
          });
    }
}

TEST_CASE("cuda random: dropout of infinities and NaN is the CPU's") {
  const auto v = special_values<float>();
  const Shape shape{static_cast<std::int64_t>(v.size())};
  const AnyArray x(shape, DType::f32, v);
  AnyArray want(shape, DType::f32);
  cpu::dropout(want.array(), x.array(), kKey, {}, 0.5);
  AnyOnDevice y(shape, DType::f32), from(x);
  cuda::dropout(y.array(), from.array(), kKey, {}, 0.5);
  check_near(y.read().values<float>(), want.values<float>(), 0, 0);
}

TEST_CASE("cuda random: permutations are the CPU's, of one tile and of several") {
  for (const std::int64_t n : {0, 1, 2, 3, 5, 100, 2047, 2048, 2049, 4096, 4097, 6000, 8193, 20000})
    for (const int offset : {0, 1}) {
      INFO("n " << n << " offset " << offset);
      AnyArray want({n}, DType::i64);
      std::vector<unsigned char> scratch(cpu::permutation_workspace_bytes(n) + 64);
      cpu::permutation(
          want.array(), kKey,
          {scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64, cpu::permutation_workspace_bytes(n)});
      auto w = workspace(cuda::permutation_workspace_bytes(n));
      AnyOnDevice y({n}, DType::i64, offset);
      cuda::permutation(y.array(), kKey, w.workspace());
      check_same_bits(y.read(), want);
    }
}
