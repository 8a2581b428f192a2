// Walks the registry of ops: values, gradients, fused rules, awkward operands, error texts, row stability.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include <gradus/engine/functional.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/tests/support/op_case.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

constexpr std::uint64_t kSeed = 20;

std::string title(const OpCase& c, std::size_t set) {
  return c.op + (c.variant.empty() ? "" : " (" + c.variant + ")") + ", operands " + std::to_string(set);
}

std::vector<Values> all_values(const TensorList& tensors) {
  std::vector<Values> out;
  for (const Tensor& t : tensors) out.push_back(values_of(t));
  return out;
}

/// The largest |a - b| / max(1, |b|); infinite if the shapes differ or only one of the two is NaN.
double difference(const Values& a, const Values& b) {
  if (!(a.shape == b.shape)) return HUGE_VAL;
  double largest = 0;
  for (std::size_t i = 0; i < a.x.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double error = std::abs(a[i] - b[i]) / std::fmax(1.0, std::abs(b[i]));
    largest = std::isnan(error) ? HUGE_VAL : std::fmax(largest, error);
  }
  return largest;
}

/// The same values at an address that is aligned to the element only.
Tensor unaligned(const Tensor& t) {
  Tensor longer = Tensor::zeros({t.elements() + 1}, t.dtype());
  Tensor view = TensorAccess::view(longer, t.shape(), static_cast<std::int64_t>(size_of(t.dtype())));
  if (t.bytes()) std::memcpy(TensorAccess::fresh(view).data, t.array().data, static_cast<std::size_t>(t.bytes()));
  return view;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0);
}

/// Operands that are differentiated, watched; the rest as they are.
void watch_all(Tape& tape, const OpCase& c, std::size_t set, const TensorList& in) {
  for (std::size_t i = 0; i < in.size(); ++i)
    if (c.operands[set][i].kind == Operand::Kind::real && !c.operands[set][i].constant) tape.watch(in[i]);
}

Tensor random_like(const Tensor& y, std::uint64_t seed) { return draw_operands({real(y.shape(), -1, 1)}, y.dtype(), seed)[0]; }

std::string kind_of(const std::function<void()>& call, std::string& text) {
  try {
    call();
  } catch (const ShapeError& e) {
    text = e.what();
    return "ShapeError";
  } catch (const DTypeError& e) {
    text = e.what();
    return "DTypeError";
  } catch (const IndexError& e) {
    text = e.what();
    return "IndexError";
  } catch (const ValueError& e) {
    text = e.what();
    return "ValueError";
  } catch (const GradientError& e) {
    text = e.what();
    return "GradientError";
  } catch (const Error& e) {
    text = e.what();
    return "another Error";
  }
  return "no error";
}

}  // namespace

TEST_CASE("every op: value against its naive reference, f32 and f64") {
  for (const OpCase& c : op_cases())
    for (std::size_t set = 0; set < c.operands.size(); ++set)
      for (const DType dtype : {DType::f32, DType::f64}) {
        INFO(title(c, set), " ", name_of(dtype), ", seed ", kSeed);
        const TensorList in = draw_operands(c.operands[set], dtype, kSeed);
        const Values ours = values_of(c.run(in)), wanted = c.reference(all_values(in));
        CHECK(to_string(ours.shape) == to_string(wanted.shape));
        CHECK(difference(ours, wanted) <= (dtype == DType::f32 ? c.tolerance_f32 : c.tolerance_f64));
      }
}

TEST_CASE("every op: gradients to its order against central differences") {
  for (const OpCase& c : op_cases())
    for (std::size_t set = 0; c.order > 0 && set < c.operands.size(); ++set) {
      TensorList in = draw_operands(c.operands[set], DType::f64, kSeed);
      std::vector<std::size_t> checked;
      TensorList moving;
      for (std::size_t i = 0; i < in.size(); ++i)
        if (c.operands[set][i].kind == Operand::Kind::real && !c.operands[set][i].constant) {
          checked.push_back(i);
          moving.push_back(in[i]);
        }
      auto f = [&](const TensorList& moved) {
        TensorList all = in;
        for (std::size_t i = 0; i < moved.size(); ++i) all[checked[i]] = moved[i];
        return c.run(all);
      };
      const GradcheckReport report = gradcheck(f, moving, {.order = c.order, .tolerance = c.gradient_tolerance, .most = 24});
      INFO(title(c, set), ": ", report.text);
      CHECK(report.ok);
    }
}

TEST_CASE("every op: the fused rule equals the composed rule") {
  for (const OpCase& c : op_cases())
    for (std::size_t set = 0; c.order > 0 && set < c.operands.size(); ++set)
      for (const DType dtype : {DType::f32, DType::f64}) {
        INFO(title(c, set), " ", name_of(dtype));
        const TensorList in = draw_operands(c.operands[set], dtype, kSeed + 1);
        Tape tape;
        watch_all(tape, c, set, in);
        const Tensor y = c.run(in), seed = random_like(y, 3);
        if (!tape.is_live(y)) continue;
        const Gradients composed = tape.gradients(y, {.create_graph = true, .seed = seed});
        const Gradients fused = tape.gradients(y, {.seed = seed});
        for (std::size_t i = 0; i < fused.size(); ++i) {
          CHECK(static_cast<bool>(fused.values[i]) == static_cast<bool>(composed.values[i]));
          if (fused.values[i])
            CHECK(difference(values_of(fused.values[i]), values_of(composed.values[i])) <=
                  (dtype == DType::f32 ? 20 * c.tolerance_f32 : 1e-10));
        }
      }
}

TEST_CASE("every op: operands at odd addresses give the same bits") {
  for (const OpCase& c : op_cases())
    for (std::size_t set = 0; set < c.operands.size(); ++set) {
      INFO(title(c, set));
      const TensorList in = draw_operands(c.operands[set], DType::f32, kSeed + 2);
      TensorList odd;
      for (const Tensor& t : in) odd.push_back(unaligned(t));
      CHECK(same_bits(c.run(in), c.run(odd)));
    }
}

TEST_CASE("every op: a wrong call says what is wrong") {
  for (const OpCase& c : op_cases())
    for (const WrongUse& wrong : c.wrong) {
      std::string text;
      const std::string kind = kind_of(wrong.call, text);
      INFO(title(c, 0), ": ", kind, ": ", text);
      CHECK(kind == wrong.kind);
      for (const std::string& fragment : wrong.fragments) {
        INFO("missing: ", fragment);
        CHECK(text.find(fragment) != std::string::npos);
      }
    }
}

TEST_CASE("every op with a batch axis: a row's bits do not depend on the rows beside it") {
  for (const OpCase& c : op_cases()) {
    if (!c.rows_stable) continue;
    INFO(title(c, 0));
    TensorList in = draw_operands(c.operands[0], DType::f32, kSeed + 3);
    const Tensor whole = c.run(in);
    const std::int64_t rows = in[0].size(0);
    for (const std::int64_t row : {std::int64_t{0}, rows / 2, rows - 1}) {
      TensorList one = in;
      one[0] = slice_rows(in[0], row, row + 1);
      CHECK(same_bits(slice_rows(whole, row, row + 1), c.run(one)));
    }
  }
}
