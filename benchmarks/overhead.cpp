// What an op costs beside its arithmetic: chains of one-element ops, unrecorded, recorded, swept, swept with create_graph.
#include <algorithm>
#include <chrono>

#include <gradus/benchmarks/workload.h>
#include <gradus/gradus.h>

namespace gradus::bench {
namespace {

constexpr int kChain = 200, kRepeats = 400, kWarmUp = 20;

template <class F> Overhead measure(const char* name, F&& chain) {
  for (int i = 0; i < kWarmUp; ++i) chain();
  std::vector<double> times;
  times.reserve(kRepeats);
  const std::int64_t mallocs = malloc_count();
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    chain();
    times.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / kChain);
  }
  const double per_op = static_cast<double>(malloc_count() - mallocs) / (static_cast<double>(kRepeats) * kChain);
  std::nth_element(times.begin(), times.begin() + kRepeats / 2, times.end());
  return {name, times[kRepeats / 2], per_op};
}

Tensor run_chain(const Tensor& x) {
  Tensor y = x;
  for (int i = 0; i < kChain; ++i) y = tanh(y);
  return y;
}

}  // namespace

std::vector<Overhead> measure_overhead() {
  const Tensor x = Tensor::full({1}, 0.5);
  return {
      measure("op_unrecorded", [&] { run_chain(x); }),
      measure("op_recorded",
              [&] {
                Tape tape({x});
                run_chain(x);
              }),
      measure("op_recorded_and_swept",
              [&] {
                Tape tape({x});
                tape.gradients(run_chain(x));
              }),
      measure("op_recorded_and_swept_with_create_graph",
              [&] {
                Tape tape({x});
                tape.gradients(run_chain(x), {.create_graph = true});
              }),
  };
}

}  // namespace gradus::bench
