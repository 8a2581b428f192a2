#include <gradus/algorithms/meta/task.h>

#include <cmath>

#include <gradus/engine/ops/random.h>
#include <gradus/engine/record.h>

namespace gradus::inline v0 {
namespace {

/// A sin(x - phase), elementwise, in f64 whatever the type: targets are data, not part of any graph.
Tensor sinusoid(const Tensor& x, double amplitude, double phase) {
  Tensor y = empty_like(x);
  const Array out = fresh(y);
  with_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto in = x.values<T>();
    for (std::size_t i = 0; i < in.size(); ++i) out.as<T>()[i] = static_cast<T>(amplitude * std::sin(static_cast<double>(in[i]) - phase));
  });
  return y;
}

}  // namespace

Task Task::to(Device device) const {
  return {support_inputs.to(device), support_targets.to(device), query_inputs.to(device), query_targets.to(device)};
}

Task SinusoidTasks::sample(Key key, DType dtype) const {
  const Tensor u = uniform(fold(key, 0), {2}, 0, 1, DType::f64);
  const double amplitude = amplitude_low + (amplitude_high - amplitude_low) * u.values<double>()[0];
  const double phase = phase_low + (phase_high - phase_low) * u.values<double>()[1];
  Task task;
  task.support_inputs = uniform(fold(key, 1), {support, 1}, input_low, input_high, dtype);
  task.query_inputs = uniform(fold(key, 2), {query, 1}, input_low, input_high, dtype);
  task.support_targets = sinusoid(task.support_inputs, amplitude, phase);
  task.query_targets = sinusoid(task.query_inputs, amplitude, phase);
  return task;
}

void SinusoidTasks::visit(FieldVisitor& v) {
  v.field("amplitude_low", amplitude_low, "smallest amplitude of a task", "0.1");
  v.field("amplitude_high", amplitude_high, "largest amplitude of a task", "5.0");
  v.field("support", support, "points a task is adapted on", "10");
  v.field("query", query, "points a task is judged by", "10");
}

}  // namespace gradus::inline v0
