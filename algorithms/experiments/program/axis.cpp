#include <gradus/algorithms/experiments/program/axis.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <gradus/algorithms/experiments/program/format.h>

namespace gradus::experiments {
namespace {

constexpr int kTargetTicks = 5;           // about as many as a 700-pixel figure has room for
constexpr double kSlack = 1e-9;           // of a tick: rounding must not lose the last one
constexpr double kNearEnd = 0.02;         // of the range: an axis that ends this close to a tick is extended to it
constexpr double kManyDecades = 4;        // beyond this only powers of ten are numbered
constexpr double kUnpaddedDecades = 0.3;  // a log axis narrower than a factor of two gets linear ticks

// The 1, 2 or 5 times a power of ten that cuts `span` into about kTargetTicks pieces.
double nice_step(double span) {
  const double raw = span / kTargetTicks, power = std::pow(10.0, std::floor(std::log10(raw))), fraction = raw / power;
  return power * (fraction < 1.5 ? 1 : fraction < 3.5 ? 2 : fraction < 7.5 ? 5 : 10);
}

std::string tick_label(double value, double step) {
  const double size = std::max(std::abs(value), step);
  if (size >= 1e6 || step < 1e-5) return readable(std::abs(value) < step * kSlack ? 0.0 : value);
  return fixed(value, std::max(0, static_cast<int>(-std::floor(std::log10(step) + kSlack))));
}

}  // namespace

Axis::Axis(const std::vector<double>& values, bool logarithmic, bool round_out) : logarithmic_(logarithmic) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values) {
    const double v = logarithmic_ ? (value > 0 ? std::log10(value) : NAN) : value;
    if (!std::isfinite(v)) continue;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (low <= high) low_ = low, high_ = high;
  if (low_ == high_) {  // one value: open the range around it
    const double half = logarithmic_ ? 0.5 : low_ == 0 ? 1 : std::abs(low_) * 0.1;
    low_ -= half;
    high_ += half;
  }
  if (logarithmic_ && high_ - low_ > kUnpaddedDecades) make_logarithmic(round_out);
  else make_linear(round_out);
}

void Axis::make_linear(bool round_out) {
  const auto value_of = [this](double v) { return logarithmic_ ? std::pow(10.0, v) : v; };
  double low = value_of(low_), high = value_of(high_);
  const double step = nice_step(high - low);
  if (!round_out && std::ceil(high / step) * step - high < kNearEnd * (high - low)) high = std::ceil(high / step) * step;
  const double first = round_out ? std::floor(low / step + kSlack) : std::ceil(low / step - kSlack);
  const double last = round_out ? std::ceil(high / step - kSlack) : std::floor(high / step + kSlack);
  if (!round_out && !logarithmic_) high_ = high;
  if (round_out && !(logarithmic_ && first <= 0)) {
    low_ = logarithmic_ ? std::log10(first * step) : first * step;
    high_ = logarithmic_ ? std::log10(last * step) : last * step;
  }
  for (double i = first; i <= last; ++i) ticks_.push_back({i * step, tick_label(i * step, step)});
}

void Axis::make_logarithmic(bool round_out) {
  const bool all_numbered = high_ - low_ <= kManyDecades;
  const double multiples[] = {0, std::log10(2.0), std::log10(5.0)};
  std::vector<double> logs;  // of candidate ticks, one beyond either end
  for (double decade = std::floor(low_) - 1; decade <= high_ + 1; ++decade)
    for (const double m : multiples) logs.push_back(decade + m);
  if (round_out) {
    low_ = *(std::upper_bound(logs.begin(), logs.end(), low_ + kSlack) - 1);
    high_ = *std::lower_bound(logs.begin(), logs.end(), high_ - kSlack);
  }
  for (std::size_t i = 0; i < logs.size(); ++i) {
    if (logs[i] < low_ - kSlack || logs[i] > high_ + kSlack) continue;
    const double value = std::pow(10.0, logs[i]);
    ticks_.push_back({value, all_numbered || i % 3 == 0 ? readable(value) : ""});
  }
}

double Axis::position(double value) const {
  const double v = logarithmic_ ? (value > 0 ? std::log10(value) : NAN) : value;
  return std::isfinite(v) ? (v - low_) / (high_ - low_) : NAN;
}

}  // namespace gradus::experiments
