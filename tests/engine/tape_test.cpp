// The tape's semantics, one named test a promise.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include <gradus/engine/functional.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/tape.h>

using namespace gradus;

namespace {

Tensor vec(std::initializer_list<double> values) { return Tensor::from(values); }
Tensor total(const Tensor& x) { return sum_to(x, {}); }
double at(const Tensor& t, std::size_t i) { return t.values<double>()[i]; }

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0;
}

template <class F> std::string error_text(F&& f) {
  try {
    f();
  } catch (const GradientError& e) { return e.what(); }
  return "no GradientError";
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("gradients are those of the formula, to third order") {
  const Tensor x = vec({0.3, -0.7});
  Tape tape({x});
  const Tensor y = total(tanh(x) * x);
  const Tensor g1 = tape.gradients(y, {x}, {.create_graph = true})[0];
  const Tensor g2 = tape.gradients(total(g1), {x}, {.create_graph = true})[0];
  const Tensor g3 = tape.gradients(total(g2), {x})[0];
  for (std::size_t i = 0; i < 2; ++i) {
    const double v = at(x, i), t = std::tanh(v), d1 = 1 - t * t, d2 = -2 * t * d1, d3 = -2 * (d1 * d1 + t * d2);
    CHECK(at(g1, i) == doctest::Approx(v * d1 + t));
    CHECK(at(g2, i) == doctest::Approx(v * d2 + 2 * d1));
    CHECK(at(g3, i) == doctest::Approx(v * d3 + 3 * d2));
  }
}

TEST_CASE("a tensor used twice gets the sum of its gradients, and broadcasting is summed down") {
  const Tensor x = vec({1, 2, 3}), s = Tensor::scalar(2, DType::f64);
  Tape tape({x, s});
  const Tensor y = total(x * s + x * x);
  const Gradients g = tape.gradients(y);
  CHECK(at(g[x], 1) == 2 + 2 * 2);
  CHECK(at(g[s], 0) == 1 + 2 + 3);
  CHECK(g[s].rank() == 0);
}

TEST_CASE("ops on tensors that are not live leave nothing on the tape") {
  const Tensor x = vec({1, 2}), frozen = vec({3, 4});
  Tape tape({x});
  const std::int64_t before = tape.stats().entries;
  const std::int64_t bytes = thread_active_bytes();
  { const Tensor teacher = tanh(frozen * frozen) + 1.0; }
  CHECK(tape.stats().entries == before);
  CHECK(thread_active_bytes() == bytes);
  const Tensor y = x * frozen;
  CHECK(tape.stats().entries == before + 1);
}

TEST_CASE("only what the live inputs' rules read is kept") {
  const Tensor x = vec({1, 2}), w = vec({3, 4});
  Tape tape({x});
  const Tensor y = x * w;  // dx needs w; nobody asks for dw, so x is not kept
  CHECK(tape.stats().saved_bytes == w.bytes());
}

TEST_CASE("a finished tape records nothing, and a second sweep is an error") {
  const Tensor x = vec({1, 2});
  Tape tape({x});
  const Tensor y = total(x * x);
  tape.gradients(y);
  CHECK(tape.finished());
  CHECK(tape.stats().saved_bytes == 0);
  const std::int64_t entries = tape.stats().entries;
  const Tensor metric = total(tanh(x) * y);
  CHECK(tape.stats().entries == entries);
  CHECK(has(error_text([&] { tape.gradients(y); }), "finished"));
  CHECK_THROWS_AS(tape.watch(metric), GradientError);
}

TEST_CASE("retain keeps the tape for another sweep with the same result") {
  const Tensor x = vec({0.5, -2});
  Tape tape({x});
  const Tensor y = total(tanh(x) * x);
  const Tensor first = tape.gradients(y, {.retain = true}).values[0];
  const Tensor second = tape.gradients(y).values[0];
  CHECK(same_bits(first, second));
}

TEST_CASE("gradients of an intermediate") {
  const Tensor x = vec({0.5, -2});
  Tape tape({x});
  const Tensor h = x * 3.0, y = total(h * h);
  const TensorList g = tape.gradients(y, {h, x});
  CHECK(at(g[0], 1) == -12);
  CHECK(at(g[1], 1) == -36);
}

TEST_CASE("asking for what the tape never saw is an error, and leaves the tape usable") {
  const Tensor x = vec({1}), stranger = vec({2});
  Tape tape({x});
  const Tensor y = total(x * x);
  CHECK(has(error_text([&] { tape.gradients(y, {stranger}); }), "never watched"));
  CHECK(has(error_text([&] { tape.gradients(stranger, {x}); }), "is not on tape"));
  CHECK_THROWS_AS(tape.gradients(x * Tensor::from({1.0, 2.0})), ShapeError);
  CHECK(at(tape.gradients(y).values[0], 0) == 2);
}

TEST_CASE("an unreached parameter has an empty gradient; nothing reached throws; require_all throws") {
  const Tensor x = vec({1}), other = vec({2});
  {
    Tape tape({x, other});
    const Gradients g = tape.gradients(total(x * x));
    CHECK(g[x]);
    CHECK_FALSE(g[other]);
  }
  Tape tape({x, other});
  const Tensor y = total(x * x);
  CHECK(has(error_text([&] { tape.gradients(y, {other}); }), "none of the"));
}

TEST_CASE("require_all names what is not reached") {
  const Tensor x = vec({1}), other = vec({2});
  Tape tape({x, other});
  CHECK(has(error_text([&] { tape.gradients(total(x * x), {.require_all = true}); }), "does not reach"));
}

TEST_CASE("a severed result throws on the outer tape; detach() is the cut") {
  const Tensor w = vec({2, 3}), x = vec({1, 1});
  Tape outer({w});
  Tensor attacked;
  {
    Tape inner({x});
    attacked = inner.gradients(total(x * w)).values[0];  // a function of w that the outer tape did not see
  }
  CHECK(has(error_text([&] { attacked* w; }), "its gradient would be lost"));
  const Tensor y = total(attacked.detach() * w);
  CHECK(at(outer.gradients(y).values[0], 0) == 2);
}

TEST_CASE("a severed result stays severed through further unrecorded ops") {
  const Tensor w = vec({2, 3}), x = vec({1, 1});
  Tape outer({w});
  Tensor later;
  {
    Tape inner({x});
    later = tanh(w * 2.0) + 1.0;  // live on the outer tape, unrecorded on the inner one
  }
  CHECK(has(error_text([&] { later + w; }), "was computed on an inner tape"));
}

TEST_CASE("NoGrad cuts without severing") {
  const Tensor w = vec({2, 3});
  Tape tape({w});
  Tensor constant;
  {
    const NoGrad cut;
    constant = w * w;
  }
  CHECK(at(tape.gradients(total(constant * w)).values[0], 1) == 9);
}

TEST_CASE("an inner tape's gradient does not run rules for the outer tape's tensors") {
  const Tensor w = vec({2, 3}), x = vec({1, 1});
  Tape outer({w});
  Tape inner({x});
  const Tensor y = total(x * w * w);  // on the inner tape w is a constant: its products are not recorded for it
  inner.gradients(y);
  CHECK(inner.stats().rules_run == 3);
  CHECK(outer.stats().entries == 0);
}

TEST_CASE("tapes may end in any order") {
  const Tensor x = vec({1, 2});
  auto first = std::make_unique<Tape>(std::initializer_list<Tensor>{x});
  auto second = std::make_unique<Tape>(std::initializer_list<Tensor>{x});
  const Tensor y = total(x * x);
  first.reset();
  CHECK(at(second->gradients(y).values[0], 1) == 4);
  Tape third({x});
  CHECK(at(third.gradients(total(x * x)).values[0], 1) == 4);
}

TEST_CASE("modified after saved: the sweep throws and names both ops") {
  const Tensor x = vec({1, 2}), constant = vec({3, 4});
  Tape tape({x});
  const Tensor y = total(x * constant);
  assign(constant, vec({5, 6}));
  const std::string text = error_text([&] { tape.gradients(y); });
  CHECK(has(text, "[mul]"));
  CHECK(has(text, "assign"));
  CHECK(tape.finished());
}

TEST_CASE("writing to a live tensor throws; after the sweep it is allowed") {
  const Tensor x = vec({1, 2});
  Tape tape({x});
  const Tensor y = total(x * x);
  CHECK(has(error_text([&] { assign(x, vec({5, 6})); }), "live on a tape"));
  tape.gradients(y);
  assign(x, vec({5, 6}));
  CHECK(at(x, 0) == 5);
}

TEST_CASE("views share their storage's version: a write through one is noticed by the other") {
  const Tensor x = vec({1, 2}), base = vec({1, 2, 3, 4});
  Tape tape({x});
  const Tensor y = total(x * slice_rows(base, 2, 4));
  assign_window(base, 3, vec({9}));
  CHECK(has(error_text([&] { tape.gradients(y); }), "assign_window"));
}

TEST_CASE("slices give window gradients, to second order") {
  const Tensor x = vec({1, 2, 3, 4, 5});
  auto f = [](const TensorList& in) {
    Tensor sum = Tensor::scalar(0, DType::f64);
    for (std::int64_t t = 0; t + 1 < 5; ++t)
      sum = sum + total(slice_rows(in[0], t, t + 1) * slice_rows(in[0], t + 1, t + 2) * slice_rows(in[0], t, t + 1));
    return sum;
  };
  const GradcheckReport r = gradcheck(f, {x}, {.order = 3});
  INFO(r.text);
  CHECK(r.ok);
}

TEST_CASE("recompute gives the same gradients bit for bit, captured weights included, and saves less") {
  const Tensor x = vec({0.1, 0.2, 0.3}), w = vec({1, -1, 2});
  auto block = [&](const TensorList& in) {
    Tensor h = in[0];
    for (int i = 0; i < 4; ++i) h = tanh(h * w + 0.1);
    return h;
  };
  Tape plain({x, w});
  const Tensor y1 = total(block({x}));
  const std::int64_t plain_bytes = plain.stats().saved_bytes;
  const Gradients g1 = plain.gradients(y1);
  Tape thrifty({x, w});
  const Tensor y2 = total(recompute(block, {x}));
  CHECK(thrifty.stats().saved_bytes < plain_bytes);
  CHECK(thrifty.stats().entries == 2);
  const Gradients g2 = thrifty.gradients(y2);
  CHECK(same_bits(y1, y2));
  CHECK(same_bits(g1[x], g2[x]));
  CHECK(same_bits(g1[w], g2[w]));
}

TEST_CASE("recompute is differentiable to second order") {
  const Tensor x = vec({0.1, 0.2, 0.3}), w = vec({1, -1, 2});
  auto f = [](const TensorList& in) {
    return recompute([w = in[1]](const TensorList& inner) { return tanh(inner[0] * w) * inner[0]; }, {in[0]});
  };
  const GradcheckReport r = gradcheck(f, {x, w}, {.order = 2});
  INFO(r.text);
  CHECK(r.ok);
}

TEST_CASE("recompute of something severed throws") {
  const Tensor w = vec({2, 3}), x = vec({1, 1});
  Tape outer({w});
  Tensor cut;
  {
    Tape inner({x});
    cut = w * 2.0;
  }
  CHECK(has(error_text([&] { recompute([&](const TensorList& in) { return in[0] * cut; }, {w}); }), "its gradient would be lost"));
}

TEST_CASE("custom ops differentiate by their rule, to second order") {
  const CustomOp cube = custom_op(
      "cube", [](const TensorList& in) { return in[0] * in[0] * in[0]; },
      [](const CustomEntry& e, const Tensor& dy) { return TensorList{dy * e.inputs[0] * e.inputs[0] * 3.0}; });
  const GradcheckReport r = gradcheck([&](const TensorList& in) { return cube({in[0]}); }, {vec({0.5, -1.5})}, {.order = 2});
  INFO(r.text);
  CHECK(r.ok);
}

TEST_CASE("gradcheck notices a wrong rule") {
  const CustomOp wrong = custom_op(
      "wrong", [](const TensorList& in) { return in[0] * in[0]; },
      [](const CustomEntry& e, const Tensor& dy) { return TensorList{dy * e.inputs[0]}; });
  const GradcheckReport r = gradcheck([&](const TensorList& in) { return wrong({in[0]}); }, {vec({0.5, -1.5})});
  CHECK_FALSE(r.ok);
  CHECK(has(r.text, "order 1, input 0, element"));
  // Right at first order, its dependence on x cut at the second.
  const CustomOp shallow = custom_op(
      "shallow", [](const TensorList& in) { return in[0] * in[0]; },
      [](const CustomEntry& e, const Tensor& dy) { return TensorList{dy * e.inputs[0].detach() * 2.0}; });
  const GradcheckReport second = gradcheck([&](const TensorList& in) { return shallow({in[0]}); }, {vec({0.5, -1.5})});
  CHECK_FALSE(second.ok);
  CHECK(has(second.text, "order 2"));
}

TEST_CASE("hvp equals the Hessian's column") {
  const Tensor x = vec({0.3, -0.2}), v = vec({1, 0.5});
  const Tensor h = hvp([](const Tensor& p) { return total(p * p * p) + total(slice_rows(p, 0, 1) * slice_rows(p, 1, 2)); }, x, v);
  CHECK(at(h, 0) == doctest::Approx(6 * 0.3 * 1 + 0.5));
  CHECK(at(h, 1) == doctest::Approx(6 * -0.2 * 0.5 + 1));
}

TEST_CASE("anomaly mode names op, entry and path of the first NaN") {
  const Tensor x = vec({1e200, 1});
  const AnomalyMode watchful;
  Tape tape({x});
  const NameScope scope("encoder", 2);
  const Tensor y = x * 2.0;
  const std::string text = error_text([&] { y* y; });
  CHECK(has(text, "[mul]"));
  CHECK(has(text, "entry 1"));
  CHECK(has(text, "encoder/2"));
}

TEST_CASE("the tape prints itself as a table and as a graph") {
  const Tensor x = vec({1, 2});
  Tape tape({x});
  tape.trace();
  const Tensor y = total(tanh(x));
  CHECK(has(tape.table(), "tanh"));
  CHECK(has(tape.table(), "f64[2]"));
  CHECK(has(tape.dot(), "digraph"));
  CHECK(has(tape.dot(), "-> s1"));
}

TEST_CASE("a tape of a million entries sweeps and dies without recursion") {
  const Tensor x = vec({1e-6});
  Tensor y = x;
  Tape tape({x});
  for (int i = 0; i < 1'000'000; ++i) y = y * 1.000001;
  const Tensor g = tape.gradients(total(y)).values[0];
  CHECK(at(g, 0) == doctest::Approx(std::exp(1e6 * std::log(1.000001))));
}

TEST_CASE("threads: a tape belongs to its thread") {
  const Tensor x = vec({1, 2});
  Tape tape({x});
  const Tensor y = total(x * x);
  std::string text;
  std::int64_t recorded = -1;
  std::thread([&] {
    text = error_text([&] { tape.gradients(y); });
    Tape own;
    const Tensor z = x * x;  // x is live on the other thread's tape only
    recorded = own.stats().entries;
  }).join();
  CHECK(has(text, "another thread"));
  CHECK(recorded == 0);
  CHECK(at(tape.gradients(y).values[0], 1) == 4);
}

TEST_CASE("threads: two threads that differentiate share nothing") {
  const Tensor shared = vec({0.5, 0.25});
  auto work = [&](double scale) {
    Tensor last;
    for (int i = 0; i < 200; ++i) {
      const Tensor x = vec({scale, 2 * scale});
      Tape tape({x});
      last = tape.gradients(total(tanh(x * shared) * x)).values[0];
    }
    return last;
  };
  const Tensor a = work(0.5), b = work(1.5);
  Tensor a2, b2;
  std::thread one([&] { a2 = work(0.5); }), two([&] { b2 = work(1.5); });
  one.join();
  two.join();
  CHECK(same_bits(a, a2));
  CHECK(same_bits(b, b2));
}

TEST_CASE("after an exception in a sweep the tape is finished and everything else works") {
  const Tensor x = vec({1, 2});
  const CustomOp bad = custom_op(
      "bad", [](const TensorList& in) { return in[0] * 2.0; },
      [](const CustomEntry&, const Tensor&) -> TensorList { raise_value("[bad] on purpose"); });
  {
    Tape tape({x});
    const Tensor y = total(bad({x}));
    CHECK_THROWS_AS(tape.gradients(y), ValueError);
    CHECK(tape.finished());
  }
  Tape tape({x});
  CHECK(at(tape.gradients(total(x * x)).values[0], 1) == 4);
}

TEST_CASE("the n-th allocation fails, for every n: a typed error, no leak, and the next try is right") {
  const Tensor x = vec({0.1, 0.2, 0.3}), w = vec({1, -1, 2});
  auto step = [&] {
    Tape tape({x, w});
    const Tensor y = total(tanh(recompute([&](const TensorList& in) { return in[0] * w; }, {x}) + w));
    const Tensor g = tape.gradients(y, {x}, {.create_graph = true})[0];
    return tape.gradients(total(g * g), {w})[0];
  };
  const Tensor right = step();
  const std::int64_t bytes = thread_active_bytes();
  int failures = 0;
  for (int n = 1;; ++n) {
    bool failed = false;
    fail_allocation(n);
    try {
      step();
    } catch (const MemoryError&) { failed = true; }
    fail_allocation(0);
    CHECK(thread_active_bytes() == bytes);
    CHECK(same_bits(step(), right));
    if (!failed) break;
    ++failures;
  }
  CHECK(failures > 50);
}
