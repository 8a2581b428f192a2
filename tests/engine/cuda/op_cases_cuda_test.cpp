// The registry of ops once more, on the device: every case's values and its gradients of both orders against the CPU's.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include <gradus/engine/functional.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/tape.h>
#include <gradus/tests/support/op_case.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

constexpr std::uint64_t kSeed = 20;

std::string title(const OpCase& c, std::size_t set, DType dtype) {
  return c.op + (c.variant.empty() ? "" : " (" + c.variant + ")") + ", operands " + std::to_string(set) + ", " + name_of(dtype);
}

/// Operands on the device; every other one at an address that is aligned to its element only, so that both kernels' paths are met.
TensorList on_device(const TensorList& host, bool odd) {
  TensorList out;
  for (const Tensor& t : host) {
    if (!odd) {
      out.push_back(t.to(Device::cuda));
      continue;
    }
    const Tensor longer = Tensor::zeros({t.elements() + 1}, t.dtype(), Device::cuda);
    Tensor view = TensorAccess::view(longer, t.shape(), static_cast<std::int64_t>(size_of(t.dtype())));
    assign(view, t.to(Device::cuda));
    out.push_back(view);
  }
  return out;
}

/// The largest |a - b| / max(1, |b|); infinite if the shapes differ or only one of the two is NaN.
double difference(const Tensor& got, const Tensor& want) {
  const Values a = values_of(got.to(Device::cpu)), b = values_of(want);
  if (!(a.shape == b.shape) || got.dtype() != want.dtype()) return HUGE_VAL;
  double largest = 0;
  for (std::size_t i = 0; i < a.x.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double error = std::abs(a[i] - b[i]) / std::fmax(1.0, std::abs(b[i]));
    largest = std::isnan(error) ? HUGE_VAL : std::fmax(largest, error);
  }
  return largest;
}

double tolerance_of(const OpCase& c, DType dtype, const Tensor& y) {
  if (!is_floating(y.dtype())) return 0;
  return dtype == DType::f32 ? c.tolerance_f32 : c.tolerance_f64;
}

TensorList differentiated(const OpCase& c, std::size_t set, const TensorList& in) {
  TensorList out;
  for (std::size_t i = 0; i < in.size(); ++i)
    if (c.operands[set][i].kind == Operand::Kind::real && !c.operands[set][i].constant) out.push_back(in[i]);
  return out;
}

Tensor random_like(const Tensor& y, std::uint64_t seed) {
  return draw_operands({real(y.shape(), -1, 1)}, y.dtype(), seed)[0].to(y.device());
}

/// d<y, u>/dx, and the gradient of its product with random cotangents. Empty lists where nothing is live.
struct Orders {
  TensorList first, second;
};
Orders gradients_of(const OpCase& c, const TensorList& x, const TensorList& in) {
  Orders orders;
  if (x.empty()) return orders;
  Tape tape(x);
  const Tensor y = c.run(in);
  if (!tape.is_live(y)) return orders;
  const Tensor u = random_like(y, 3);
  orders.first = tape.gradients(y, {.retain = true, .seed = u}).values;
  if (c.order < 2) return orders;
  const TensorList g = tape.gradients(y, {.create_graph = true, .seed = u}).values;
  Tensor s;
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (!g[i] || g[i].elements() == 0) continue;
    const Tensor dot = sum(g[i] * random_like(g[i], 5 + i));
    s = s ? s + dot : dot;
  }
  if (s && tape.is_live(s)) orders.second = tape.gradients(s).values;
  return orders;
}

void check_gradients(const OpCase& c, std::size_t set, DType dtype) {
  const TensorList host = draw_operands(c.operands[set], dtype, kSeed), device = on_device(host, set % 2 == 1);
  const Orders wanted = gradients_of(c, differentiated(c, set, host), host), ours = gradients_of(c, differentiated(c, set, device), device);
  const double tolerance = dtype == DType::f32 ? 20 * c.tolerance_f32 : 1e-10;
  for (const auto& [got, want] : {std::pair{&ours.first, &wanted.first}, {&ours.second, &wanted.second}}) {
    REQUIRE(got->size() == want->size());
    for (std::size_t i = 0; i < want->size(); ++i) {
      CHECK(static_cast<bool>((*got)[i]) == static_cast<bool>((*want)[i]));
      if ((*got)[i] && (*want)[i]) CHECK(difference((*got)[i], (*want)[i]) <= tolerance);
    }
  }
}

}  // namespace

TEST_CASE("CUDA, every op: values equal the CPU's, aligned and not") {
  for (const OpCase& c : op_cases())
    for (std::size_t set = 0; set < c.operands.size(); ++set)
      for (const DType dtype : {DType::f32, DType::f64})
        for (const bool odd : {false, true}) {
          INFO(title(c, set, dtype), odd ? ", odd addresses" : "");
          try {
            const TensorList host = draw_operands(c.operands[set], dtype, kSeed);
            const Tensor want = c.run(host), got = c.run(on_device(host, odd));
            if (!host.empty()) CHECK(got.device() == Device::cuda);
            CHECK(difference(got, want) <= tolerance_of(c, dtype, want));
          } catch (const Error& error) { FAIL_CHECK(error.what()); }
        }
}

TEST_CASE("CUDA, every op: gradients of both orders equal the CPU's") {
  for (const OpCase& c : op_cases())
    for (std::size_t set = 0; c.order > 0 && set < c.operands.size(); ++set)
      for (const DType dtype : {DType::f32, DType::f64}) {
        INFO(title(c, set, dtype));
        try {
          check_gradients(c, set, dtype);
        } catch (const Error& error) { FAIL_CHECK(error.what()); }
      }
}
