// Exponential moving averages of models: teachers, momentum encoders, averaged weights.
#pragma once

#include <gradus/nn/module.h>

namespace gradus::inline v0 {

namespace detail {
void ema_update(const TensorList& teacher, const TensorList& student, double decay);
}

/// teacher = decay teacher + (1 - decay) student, for each parameter in order. Buffers are left alone: a teacher's batch norm keeps its own
/// statistics. Everything is checked before anything moves. Throws ValueError unless 0 <= decay <= 1 and for another number of parameters;
/// ShapeError, DTypeError; GradientError if a teacher's parameter is live on an unfinished tape.
///
///     Mlp teacher = student;                     // a real copy
///     ema_update(teacher, student, .99);         // after the optimizer's step
template <class Teacher, class Student> void ema_update(Teacher& teacher, const Student& student, double decay) {
  detail::ema_update(teacher.parameters(), student.parameters(), decay);
}

}  // namespace gradus::inline v0
