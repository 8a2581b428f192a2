// Every op case that the tests know, timed by Google Benchmark: forward, and forward with its gradient.
#include <benchmark/benchmark.h>

#include <memory>

#include <gradus/engine/tape.h>
#include <gradus/tests/support/op_case.h>

namespace {

using gradus::testing::OpCase;
using gradus::testing::Operand;

void set_rates(benchmark::State& state, const OpCase& c, const gradus::TensorList& in, const gradus::Tensor& y) {
  std::int64_t bytes = y.bytes();
  for (const gradus::Tensor& t : in) bytes += t.bytes();
  const double flops = c.flops > 0 ? c.flops : static_cast<double>(y.elements());
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["B/s"] =
      benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1024);
}

void forward(benchmark::State& state, const OpCase* c, gradus::DType dtype) {
  const gradus::TensorList in = gradus::testing::draw_operands(c->operands[0], dtype, 1);
  gradus::Tensor y;
  for (auto _ : state) {
    y = c->run(in);
    benchmark::DoNotOptimize(y.array().data);
  }
  set_rates(state, *c, in, y);
}

void backward(benchmark::State& state, const OpCase* c, gradus::DType dtype) {
  const gradus::TensorList in = gradus::testing::draw_operands(c->operands[0], dtype, 1);
  const gradus::Tensor seed = gradus::ones_like(c->run(in));
  for (auto _ : state) {
    gradus::Tape tape;
    for (std::size_t i = 0; i < in.size(); ++i)
      if (c->operands[0][i].kind == Operand::Kind::real && !c->operands[0][i].constant) tape.watch(in[i]);
    benchmark::DoNotOptimize(tape.gradients(c->run(in), {.seed = seed}).values.data());
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const OpCase& c : gradus::testing::op_cases())
    for (const gradus::DType dtype : {gradus::DType::f32, gradus::DType::f64}) {
      const std::string name = c.op + (c.variant.empty() ? "" : "(" + c.variant + ")") + "/" + gradus::name_of(dtype);
      benchmark::RegisterBenchmark((name + "/forward").c_str(), forward, &c, dtype);
      if (c.order > 0) benchmark::RegisterBenchmark((name + "/forward_backward").c_str(), backward, &c, dtype);
    }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
