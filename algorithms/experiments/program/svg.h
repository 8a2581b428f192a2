// Line plots as SVG text: the same input gives the same bytes, so that plots can be compared by diff.
//
// Light background, 700 pixels wide, a colour-blind palette (Okabe and Ito 2008). Series and baselines are named at the right end of
// their line, with their last value, instead of in a legend box.
#pragma once

#include <string>
#include <vector>

namespace gradus::experiments {

/// A curve. `low` and `high`, if given, bound a band around it (as many values as y). NaN leaves a gap. A curve of more than 200 points is
/// drawn pale, with its running mean on top.
struct Series {
  std::string name = {};
  std::vector<double> x = {}, y = {}, low = {}, high = {};
};

/// A dashed horizontal line: what a baseline reaches.
struct Level {
  std::string name = {};
  double y = 0;
};

/// A figure. Axis titles carry the units: "loss (nats)".
struct Plot {
  std::string file = {};  // without folder and ".svg"
  std::string title = {};
  std::string x_title = {}, y_title = {};
  std::vector<Series> series = {};
  std::vector<Level> levels = {};
  bool log_x = false, log_y = false;
  std::string caption = {};  // data, seeds, steps
};

std::string to_svg(const Plot& plot);

}  // namespace gradus::experiments
