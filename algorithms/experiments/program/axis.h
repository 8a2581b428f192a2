// An axis of a plot: which range it shows, where its ticks are, how they are written.
#pragma once

#include <string>
#include <vector>

namespace gradus::experiments {

struct Tick {
  double value;
  std::string label;  // empty: a grid line without a number
};

/// Maps values to [0, 1] along an axis, linear or logarithmic.
class Axis {
 public:
  /// Covers the finite values among `values` (on a log axis: the positive ones). `round_out` widens the range to whole ticks.
  Axis(const std::vector<double>& values, bool logarithmic, bool round_out);

  /// NaN for what the axis cannot show: NaN, infinities, and on a log axis zero and below.
  double position(double value) const;
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  void make_linear(bool round_out);
  void make_logarithmic(bool round_out);

  bool logarithmic_;
  double low_ = 0, high_ = 1;  // of value, or of log10(value)
  std::vector<Tick> ticks_;
};

}  // namespace gradus::experiments
