#include <gradus/algorithms/experiments/program/progress.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/ioctl.h>
#include <unistd.h>

#include <gradus/algorithms/experiments/program/format.h>

namespace gradus::experiments {
namespace {

constexpr double kInterval = 0.1;  // seconds between two drawings: ten a second
constexpr double kPatience = 0.5;  // seconds before the bar appears
constexpr double kSilence = 2.0;   // seconds before plain lines appear
constexpr double kMemory = 3.0;    // seconds over which the rate is averaged
constexpr int kBarWidth = 24;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

bool speaks_utf8() {
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (is_set(variable)) return std::strstr(std::getenv(variable), "UTF-8") || std::strstr(std::getenv(variable), "utf8");
  return false;
}

bool is_dumb() {
  const char* term = std::getenv("TERM");
  return !term || !std::strcmp(term, "dumb");
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void write_stderr(const std::string& text) {
  // A bar that cannot be shown is no reason to stop a training.
  (void)!::write(STDERR_FILENO, text.data(), text.size());
}

// A bar in eighths of a character where the terminal knows them.
std::string bar(double share, bool unicode) {
  if (!unicode) {
    const int full = static_cast<int>(share * kBarWidth);
    return "[" + std::string(static_cast<std::size_t>(full), '#') + std::string(static_cast<std::size_t>(kBarWidth - full), '.') + "]";
  }
  const char* const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int units = static_cast<int>(share * kBarWidth * 8);
  std::string text;
  for (int i = 0; i < units / 8; ++i) text += "█";
  text += eighths[units % 8];
  const int drawn = units / 8 + (units % 8 > 0);
  return "▕" + text + std::string(static_cast<std::size_t>(kBarWidth - drawn), ' ') + "▏";
}

// The first `width` characters of UTF-8 text.
std::string clipped(const std::string& text, std::size_t width) {
  std::size_t shown = 0, end = 0;
  while (end < text.size()) {
    if ((text[end] & 0xC0) != 0x80 && ++shown > width) break;
    ++end;
  }
  return text.substr(0, end);
}

}  // namespace

Progress::Progress(std::string label)
    : label_(std::move(label)),
      terminal_(::isatty(STDERR_FILENO) && !is_dumb()),
      colour_(terminal_ && !is_set("NO_COLOR")),
      unicode_(speaks_utf8()) {}

Progress::~Progress() { clear(); }

void Progress::update(std::int64_t done, std::int64_t total, const std::string& text) {
  const auto now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count(), pause = std::chrono::duration<double>(now - last_).count();
  if (last_done_ < 0) last_done_ = done;
  if (pause < kInterval || total <= 0) return;
  measure(done, now);
  if (terminal_ && elapsed > kPatience) draw(done, total, text);
  if (!terminal_) {
    const int tenths = static_cast<int>(done * 10 / total);
    if (elapsed > kSilence && tenths > tenths_said_) say(done, total, text);
    tenths_said_ = std::max(tenths, tenths_said_);
  }
}

void Progress::measure(std::int64_t done, Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const double latest = static_cast<double>(done - last_done_) / seconds;
  const double weight = rate_ == 0 ? 1 : 1 - std::exp(-seconds / kMemory);
  rate_ += weight * (latest - rate_);
  last_ = now;
  last_done_ = done;
}

std::string Progress::remaining(std::int64_t done, std::int64_t total) const {
  if (rate_ <= 0) return "";
  return readable(std::round(rate_ * 10) / 10) + "/s  " + duration(static_cast<double>(total - done) / rate_) + " left";
}

void Progress::draw(std::int64_t done, std::int64_t total, const std::string& text) {
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const std::string before = label_ + "  ", picture = bar(share, unicode_);
  const std::string after = "  " + std::to_string(done) + "/" + std::to_string(total) + "  " + remaining(done, total) + "  " + text;
  const std::size_t used = display_width(before) + display_width(picture), width = terminal_width();
  const std::string tail = clipped(after, width > used + 1 ? width - used - 1 : 0);
  write_stderr("\r\033[K" + before + (colour_ ? "\033[34m" + picture + "\033[0m" : picture) + tail);
  drawn_ = true;
}

void Progress::say(std::int64_t done, std::int64_t total, const std::string& text) {
  write_stderr(label_ + ": " + std::to_string(done * 100 / total) + " %  " + std::to_string(done) + "/" + std::to_string(total) + "  " +
               remaining(done, total) + (text.empty() ? "" : "  " + text) + "\n");
}

void Progress::clear() {
  if (drawn_) write_stderr("\r\033[K");
  drawn_ = false;
}

}  // namespace gradus::experiments
