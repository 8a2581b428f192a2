// A task of meta-learning: support examples to adapt on, query examples to judge the adapted model by.
#pragma once

#include <functional>

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>
#include <gradus/nn/config.h>

namespace gradus::inline v0 {

/// Support and query share no example. Inputs [K, ...] and [Q, ...]; targets as the loss wants them.
struct Task {
  Tensor support_inputs, support_targets;
  Tensor query_inputs, query_targets;
  /// The same task on a device.
  Task to(Device device) const;
};

/// The sinusoids of Finn et al. 2017 (MAML, section 5.1): y = A sin(x - phase).
struct SinusoidTasks {
  double amplitude_low = 0.1, amplitude_high = 5.0;
  double phase_low = 0.0, phase_high = 3.14159265358979323846;
  double input_low = -5.0, input_high = 5.0;
  std::int64_t support = 10, query = 10;  ///< points per task

  /// The task that `key` names: the same bits wherever it is drawn. Inputs and targets are [points, 1].
  ///
  ///     Task task = SinusoidTasks{}.sample(rng.next_key());
  Task sample(Key key, DType dtype = DType::f32) const;
  void visit(FieldVisitor& v);
};

}  // namespace gradus::inline v0
