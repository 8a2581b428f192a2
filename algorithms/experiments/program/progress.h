// The progress bar: on stderr, one line that is rewritten at most ten times a second and cleared at the end. Where stderr is not a
// terminal, or TERM is "dumb", one plain line every 10 % instead. NO_COLOR is honoured. Nothing is shown for what ends within half a second
// (plain lines: two seconds).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gradus::experiments {

class Progress {
 public:
  explicit Progress(std::string label);
  /// Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` steps are done; `text` stands at the end of the line. Cheap when nothing is due.
  void update(std::int64_t done, std::int64_t total, const std::string& text);
  /// Clears the line, so that something else can be printed; the next update draws it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void measure(std::int64_t done, Clock::time_point now);
  void draw(std::int64_t done, std::int64_t total, const std::string& text);
  void say(std::int64_t done, std::int64_t total, const std::string& text);
  std::string remaining(std::int64_t done, std::int64_t total) const;

  std::string label_;
  bool terminal_, colour_, unicode_;
  Clock::time_point start_ = Clock::now(), last_ = start_;
  std::int64_t last_done_ = -1;  // at last_
  double rate_ = 0;              // steps per second, exponential average
  int tenths_said_ = 0;
  bool drawn_ = false;
};

}  // namespace gradus::experiments
