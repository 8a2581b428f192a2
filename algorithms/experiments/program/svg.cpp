#include <gradus/algorithms/experiments/program/svg.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include <gradus/algorithms/experiments/program/axis.h>
#include <gradus/algorithms/experiments/program/format.h>

namespace gradus::experiments {
namespace {

constexpr double kWidth = 700, kHeight = 400;
constexpr double kTop = 92;     // title, caption and the y axis' title lie above the plot
constexpr double kBottom = 54;  // tick labels and the x axis' title
constexpr double kTextSize = 12;
constexpr double kLabelGap = 15;           // distance of two names at the right edge that do not touch
constexpr std::size_t kMostMarkers = 30;   // beyond this, points are drawn as a line only
constexpr std::size_t kMostPoints = 1200;  // about two a pixel column; longer curves keep each column's extremes

// Okabe and Ito's palette, the yellow left out: it is too light for lines on white.
const char* const kPalette[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};
const char* const kDashes[] = {"7 4", "2 3", "10 3 2 3"};
constexpr std::size_t kNoisyPoints = 200;  // beyond this a curve is noise around a trend: it is drawn pale under its running mean
const char* const kGrey = "#5F6368";

// Width of text in a Helvetica-like face, near enough to reserve room for it.
double text_width(const std::string& text, double size = kTextSize) {
  double width = 0;
  for (const char c : text) {
    if ((c & 0xC0) == 0x80) continue;  // a later byte of a UTF-8 character
    if (std::strchr("iljtfr.,:;'|()[] ", c)) width += 0.31;
    else if (std::strchr("mwMW@%", c)) width += 0.86;
    else if (c >= 'A' && c <= 'Z') width += 0.69;
    else width += 0.56;
  }
  return width * size;
}

struct Frame {  // the plot area in pixels
  double left, right, top = kTop, bottom = kHeight - kBottom;
  double x(double position) const { return left + position * (right - left); }
  double y(double position) const { return bottom - position * (bottom - top); }
};

struct EndLabel {
  std::string name, value, colour;
  double anchor, y;  // where the line ends, where the text stands
};

std::string number(double v) { return fixed(v, 1); }

std::string text_at(double x, double y, const std::string& text, const std::string& attributes) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + attributes + ">" + escaped(text) + "</text>\n";
}

std::string line_from(double x1, double y1, double x2, double y2, const std::string& attributes) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) + "\" " + attributes +
         "/>\n";
}

std::vector<double> all_x(const Plot& plot) {
  std::vector<double> values;
  for (const Series& s : plot.series) values.insert(values.end(), s.x.begin(), s.x.end());
  return values;
}

std::vector<double> all_y(const Plot& plot) {
  std::vector<double> values;
  for (const Series& s : plot.series)
    for (const auto* part : {&s.y, &s.low, &s.high}) values.insert(values.end(), part->begin(), part->end());
  for (const Level& level : plot.levels) values.push_back(level.y);
  return values;
}

// The points to draw: all of them, or of each of kMostPoints / 4 stretches the first, the extremes and the last.
std::vector<std::size_t> drawn_points(const std::vector<double>& y) {
  std::vector<std::size_t> kept;
  const std::size_t n = y.size();
  if (n <= kMostPoints) {
    kept.resize(n);
    std::iota(kept.begin(), kept.end(), std::size_t{0});
    return kept;
  }
  const std::size_t stretches = kMostPoints / 4;
  for (std::size_t s = 0; s < stretches; ++s) {
    const auto first = static_cast<std::ptrdiff_t>(s * n / stretches), end = static_cast<std::ptrdiff_t>((s + 1) * n / stretches);
    const auto extremes = std::minmax_element(y.begin() + first, y.begin() + end);
    std::vector<std::size_t> some{static_cast<std::size_t>(first), static_cast<std::size_t>(extremes.first - y.begin()),
                                  static_cast<std::size_t>(extremes.second - y.begin()), static_cast<std::size_t>(end - 1)};
    std::sort(some.begin(), some.end());
    some.erase(std::unique(some.begin(), some.end()), some.end());
    kept.insert(kept.end(), some.begin(), some.end());
  }
  return kept;
}

// Mean of the finite values within +- n / 80 of each: wide enough to show the trend, narrow enough not to bend it.
std::vector<double> running_mean(const std::vector<double>& y) {
  const std::size_t reach = y.size() / 80;
  std::vector<double> sums(y.size() + 1), counts(y.size() + 1), means(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const bool finite = std::isfinite(y[i]);
    sums[i + 1] = sums[i] + (finite ? y[i] : 0);
    counts[i + 1] = counts[i] + (finite ? 1 : 0);
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t first = i < reach ? 0 : i - reach, end = std::min(y.size(), i + reach + 1);
    means[i] = std::isfinite(y[i]) ? (sums[end] - sums[first]) / (counts[end] - counts[first]) : y[i];
  }
  return means;
}

class Figure {
 public:
  explicit Figure(const Plot& plot)
      : plot_(plot),
        x_axis_(all_x(plot), plot.log_x, false),
        y_axis_(all_y(plot), plot.log_y, true),
        labels_(end_labels()),
        frame_(frame()) {
    place_labels();
  }

  std::string svg() const {
    std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) +
                      "\" width=\"" + fixed(kWidth, 0) + "\" height=\"" + fixed(kHeight, 0) +
                      "\" role=\"img\" font-family=\"Helvetica Neue, Helvetica, Arial, sans-serif\" font-size=\"" + fixed(kTextSize, 0) +
                      "\">\n";
    out += "<title>" + escaped(plot_.title) + "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n";
    out += headings() + axes();
    for (std::size_t i = 0; i < plot_.series.size(); ++i) out += band(plot_.series[i], colour(i));
    for (std::size_t i = 0; i < plot_.levels.size(); ++i) out += level(plot_.levels[i], kDashes[i % std::size(kDashes)]);
    for (std::size_t i = 0; i < plot_.series.size(); ++i) out += curve(plot_.series[i], colour(i));
    return out + names() + "</svg>\n";
  }

 private:
  static std::string colour(std::size_t i) { return kPalette[i % std::size(kPalette)]; }

  std::vector<EndLabel> end_labels() const {
    std::vector<EndLabel> labels;
    for (std::size_t i = 0; i < plot_.series.size(); ++i) {
      const Series& s = plot_.series[i];
      const std::vector<double> y = s.y.size() > kNoisyPoints ? running_mean(s.y) : s.y;
      const auto last = std::find_if(y.rbegin(), y.rend(), [&](double v) { return !std::isnan(y_axis_.position(v)); });
      if (last != y.rend()) labels.push_back({s.name, readable(*last), colour(i), y_axis_.position(*last), 0});
    }
    for (const Level& level : plot_.levels)
      if (!std::isnan(y_axis_.position(level.y))) labels.push_back({level.name, readable(level.y), kGrey, y_axis_.position(level.y), 0});
    return labels;
  }

  Frame frame() const {
    double left = 0, right = 0;
    for (const Tick& tick : y_axis_.ticks()) left = std::max(left, text_width(tick.label));
    for (const EndLabel& label : labels_) right = std::max(right, text_width(label.name + "  " + label.value) * 1.04);
    return {24 + left + 8, kWidth - std::min(right + 34, kWidth * 0.45)};
  }

  // Names stand at the height where their line ends, moved apart where they would touch.
  void place_labels() {
    for (EndLabel& label : labels_) label.anchor = label.y = frame_.y(label.anchor);
    std::stable_sort(labels_.begin(), labels_.end(), [](const EndLabel& a, const EndLabel& b) { return a.anchor < b.anchor; });
    for (std::size_t i = 1; i < labels_.size(); ++i) labels_[i].y = std::max(labels_[i].y, labels_[i - 1].y + kLabelGap);
    double limit = frame_.bottom;
    for (std::size_t i = labels_.size(); i-- > 0; limit = labels_[i].y - kLabelGap) labels_[i].y = std::min(labels_[i].y, limit);
  }

  std::string headings() const {
    return text_at(24, 32, plot_.title, "font-size=\"17\" font-weight=\"600\" fill=\"#202124\"") +
           text_at(24, 51, plot_.caption, "fill=\"" + std::string(kGrey) + "\"") +
           text_at(24, kTop - 14, plot_.y_title, "fill=\"#3C4043\"") +
           text_at((frame_.left + frame_.right) / 2, kHeight - 14, plot_.x_title, "text-anchor=\"middle\" fill=\"#3C4043\"");
  }

  std::string axes() const {
    std::string out;
    for (const Tick& tick : y_axis_.ticks()) {
      const double y = frame_.y(y_axis_.position(tick.value));
      out += line_from(frame_.left, y, frame_.right, y, "stroke=\"#E8EAED\"");
      if (!tick.label.empty())
        out += text_at(frame_.left - 8, y + 4, tick.label, "text-anchor=\"end\" fill=\"" + std::string(kGrey) + "\"");
    }
    out += line_from(frame_.left, frame_.bottom, frame_.right, frame_.bottom, "stroke=\"#80868B\"");
    double free_from = 0;  // labels of a log axis can come too close: the later one is left out
    for (const Tick& tick : x_axis_.ticks()) {
      const double x = frame_.x(x_axis_.position(tick.value)), half = text_width(tick.label) / 2;
      out += line_from(x, frame_.bottom, x, frame_.bottom + 5, "stroke=\"#80868B\"");
      if (tick.label.empty() || x - half < free_from) continue;
      out += text_at(x, frame_.bottom + 19, tick.label, "text-anchor=\"middle\" fill=\"" + std::string(kGrey) + "\"");
      free_from = x + half + 6;
    }
    return out;
  }

  bool is_shown(double x, double y) const { return !std::isnan(x_axis_.position(x)) && !std::isnan(y_axis_.position(y)); }
  std::string point(double x, double y) const {
    return number(frame_.x(x_axis_.position(x))) + " " + number(frame_.y(y_axis_.position(y)));
  }

  std::string path(const std::vector<double>& x, const std::vector<double>& y, const std::string& attributes) const {
    std::string steps;
    bool pen_down = false;
    for (const std::size_t i : drawn_points(y)) {
      const bool shown = is_shown(x[i], y[i]);
      if (shown) steps += (pen_down ? "L" : "M") + point(x[i], y[i]);
      pen_down = shown;
    }
    return "<path d=\"" + steps + "\" fill=\"none\" stroke-linejoin=\"round\" " + attributes + "/>\n";
  }

  std::string curve(const Series& s, const std::string& colour) const {
    const std::string stroke = "stroke=\"" + colour + "\" stroke-width=\"";
    if (s.y.size() > kNoisyPoints)
      return path(s.x, s.y, stroke + "1\" stroke-opacity=\"0.3\"") + path(s.x, running_mean(s.y), stroke + "2.2\"");
    std::string out = path(s.x, s.y, stroke + "2.2\"");
    if (s.y.size() > kMostMarkers) return out;
    for (std::size_t i = 0; i < s.y.size(); ++i) {
      if (!is_shown(s.x[i], s.y[i])) continue;
      out += "<circle cx=\"" + number(frame_.x(x_axis_.position(s.x[i]))) + "\" cy=\"" + number(frame_.y(y_axis_.position(s.y[i]))) +
             "\" r=\"3\" fill=\"" + colour + "\"/>\n";
    }
    return out;
  }

  std::string band(const Series& s, const std::string& colour) const {
    if (s.low.size() != s.y.size() || s.high.size() != s.y.size()) return {};
    std::string there, back;
    for (const std::size_t i : drawn_points(s.y)) {
      if (!is_shown(s.x[i], s.low[i]) || !is_shown(s.x[i], s.high[i])) continue;
      there += (there.empty() ? "M" : "L") + point(s.x[i], s.high[i]);
      back = "L" + point(s.x[i], s.low[i]) + back;
    }
    if (there.empty()) return {};
    return "<path d=\"" + there + back + "Z\" fill=\"" + colour + "\" fill-opacity=\"0.16\"/>\n";
  }

  std::string level(const Level& level, const std::string& dash) const {
    const double position = y_axis_.position(level.y);
    if (std::isnan(position)) return {};
    const double y = frame_.y(position);
    return line_from(frame_.left, y, frame_.right, y,
                     "stroke=\"" + std::string(kGrey) + "\" stroke-width=\"1.4\" stroke-dasharray=\"" + dash + "\"");
  }

  std::string names() const {
    std::string out;
    for (const EndLabel& label : labels_) {
      if (std::abs(label.y - label.anchor) > 2)  // moved: a hair line leads back to its curve
        out +=
            line_from(frame_.right + 3, label.anchor, frame_.right + 12, label.y, "stroke=\"" + label.colour + "\" stroke-width=\"0.8\"");
      out += "<text x=\"" + number(frame_.right + 15) + "\" y=\"" + number(label.y + 4) + "\" fill=\"" + label.colour +
             "\"><tspan font-weight=\"600\">" + escaped(label.name) + "</tspan><tspan dx=\"6\">" + label.value + "</tspan></text>\n";
    }
    return out;
  }

  const Plot& plot_;
  Axis x_axis_, y_axis_;
  std::vector<EndLabel> labels_;
  Frame frame_;
};

}  // namespace

std::string to_svg(const Plot& plot) { return Figure(plot).svg(); }

}  // namespace gradus::experiments
