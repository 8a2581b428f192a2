// Schedules: a number as a pure function of the global gradient step. One type for learning rates, EMA decays, temperatures, mask ratios.
//
// A schedule keeps no position of its own: whoever calls it says which step it is, so a resumed run continues on the same curve.
#pragma once

#include <cstdint>
#include <string>

namespace gradus::inline v0 {

/// A value over training steps 0, 1, 2, ... A plain number converts to a constant schedule.
///
///     Schedule rate = Schedule::warmup_cosine(2e-3, 20, 1000);
///     double first = rate(0);                                 // 1e-4: 2e-3 / 20
///     Schedule tau = Schedule::cosine(.996, 1, 1000);         // BYOL's
class Schedule {
 public:
  Schedule(double value = 0) : from_(value) {}

  /// The same value at every step.
  static Schedule constant(double value) { return value; }
  /// from + (to - from) t / steps, then `to`. Throws ValueError unless steps >= 1.
  static Schedule linear(double from, double to, std::int64_t steps);
  /// to + (from - to) (1 + cos(pi t / steps)) / 2, then `to` (Loshchilov & Hutter 2017, "SGDR", eq. 5, one period).
  /// Throws ValueError unless steps >= 1.
  static Schedule cosine(double from, double to, std::int64_t steps);
  /// peak (t + 1) / warmup while t < warmup, then a cosine from `peak` at step `warmup` to `end` at step `steps`.
  /// Throws ValueError unless 0 <= warmup < steps.
  static Schedule warmup_cosine(double peak, std::int64_t warmup, std::int64_t steps, double end = 0);
  /// value factor^floor(t / every). Throws ValueError unless every >= 1.
  static Schedule step_decay(double value, double factor, std::int64_t every);

  /// The value at `step`; steps before 0 count as 0.
  double operator()(std::int64_t step) const;

  /// The call that makes it: "cosine(0.996, 1, 1000)"; a constant is "constant(0.001)". Numbers read back to the same bits.
  std::string to_string() const;
  /// Reads what to_string() writes, or a plain number. Throws ValueError with the text and the forms that it may have.
  static Schedule parse(const std::string& text);

  friend bool operator==(const Schedule&, const Schedule&) = default;

 private:
  enum class Kind : std::uint8_t { constant, linear, cosine, warmup_cosine, step_decay };
  Schedule(Kind kind, double from, double to, std::int64_t warmup, std::int64_t steps)
      : kind_(kind), from_(from), to_(to), warmup_(warmup), steps_(steps) {}

  Kind kind_ = Kind::constant;
  double from_ = 0, to_ = 0;  // step_decay: the value and its factor
  std::int64_t warmup_ = 0, steps_ = 1;
};

}  // namespace gradus::inline v0
