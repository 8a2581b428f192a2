#include <gradus/nn/schedules.h>

#include <charconv>
#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

#include <gradus/kernels/error.h>

namespace gradus::inline v0 {
namespace {

void require_steps(const char* name, const char* what, std::int64_t steps) {
  if (steps < 1) raise_value(std::string("[schedule] ") + name + ": " + what + " is " + std::to_string(steps) + "; expected at least 1");
}

/// `from` and `to` in shares that add up to 1: exact at both ends.
double mix(double from, double to, double share_of_from) { return from * share_of_from + to * (1 - share_of_from); }

double linear_share(std::int64_t t, std::int64_t steps) { return t >= steps ? 0 : 1 - static_cast<double>(t) / static_cast<double>(steps); }

double cosine_share(std::int64_t t, std::int64_t steps) {
  if (t >= steps) return 0;
  return (1 + std::cos(std::numbers::pi * static_cast<double>(t) / static_cast<double>(steps))) / 2;
}

// std::to_chars and from_chars know no locale, and the shortest text that they write reads back to the same bits.
template <class Number> std::string text_of(Number value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}
template <class Number> bool read_number(std::string_view text, Number& value) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

[[noreturn]] void raise_unreadable(const std::string& text) {
  raise_value("[schedule] '" + text +
              "' is no schedule; expected a number, constant(value), linear(from, to, steps), cosine(from, to, steps), "
              "warmup_cosine(peak, warmup, steps, end) or step_decay(value, factor, every)");
}

/// "name(a, b, c)" taken apart; the arguments are read as they are asked for.
struct Call {
  explicit Call(const std::string& whole) : text(whole) {
    const std::size_t open = text.find('(');
    if (open == std::string::npos || text.back() != ')') raise_unreadable(text);
    name = std::string_view(text).substr(0, open);
    std::string_view rest = std::string_view(text).substr(open + 1);
    rest.remove_suffix(1);
    for (std::size_t comma; (comma = rest.find(',')) != std::string_view::npos; rest.remove_prefix(comma + 1))
      arguments.push_back(rest.substr(0, comma));
    arguments.push_back(rest);
  }
  template <class Number> Number argument(std::size_t i) const {
    Number value{};
    if (!read_number(arguments[i], value)) raise_unreadable(text);
    return value;
  }
  double real(std::size_t i) const { return argument<double>(i); }
  std::int64_t count(std::size_t i) const { return argument<std::int64_t>(i); }
  bool is(std::string_view wanted, std::size_t size) const { return name == wanted && arguments.size() == size; }

  const std::string& text;
  std::string_view name;
  std::vector<std::string_view> arguments;
};

}  // namespace

Schedule Schedule::linear(double from, double to, std::int64_t steps) {
  require_steps("linear", "steps", steps);
  return {Kind::linear, from, to, 0, steps};
}

Schedule Schedule::cosine(double from, double to, std::int64_t steps) {
  require_steps("cosine", "steps", steps);
  return {Kind::cosine, from, to, 0, steps};
}

Schedule Schedule::warmup_cosine(double peak, std::int64_t warmup, std::int64_t steps, double end) {
  if (warmup < 0 || warmup >= steps)
    raise_value("[schedule] warmup_cosine: warmup is " + std::to_string(warmup) + " of " + std::to_string(steps) +
                " steps; expected 0 <= warmup < steps");
  return {Kind::warmup_cosine, peak, end, warmup, steps};
}

Schedule Schedule::step_decay(double value, double factor, std::int64_t every) {
  require_steps("step_decay", "every", every);
  return {Kind::step_decay, value, factor, 0, every};
}

double Schedule::operator()(std::int64_t step) const {
  const std::int64_t t = step < 0 ? 0 : step;
  switch (kind_) {
    case Kind::constant: return from_;
    case Kind::linear: return mix(from_, to_, linear_share(t, steps_));
    case Kind::cosine: return mix(from_, to_, cosine_share(t, steps_));
    case Kind::warmup_cosine:
      if (t < warmup_) return from_ * static_cast<double>(t + 1) / static_cast<double>(warmup_);
      return mix(from_, to_, cosine_share(t - warmup_, steps_ - warmup_));
    case Kind::step_decay: return from_ * std::pow(to_, static_cast<double>(t / steps_));
  }
  return from_;
}

std::string Schedule::to_string() const {
  const std::string from = text_of(from_), to = text_of(to_), steps = text_of(steps_);
  switch (kind_) {
    case Kind::constant: return "constant(" + from + ")";
    case Kind::linear: return "linear(" + from + ", " + to + ", " + steps + ")";
    case Kind::cosine: return "cosine(" + from + ", " + to + ", " + steps + ")";
    case Kind::warmup_cosine: return "warmup_cosine(" + from + ", " + text_of(warmup_) + ", " + steps + ", " + to + ")";
    case Kind::step_decay: return "step_decay(" + from + ", " + to + ", " + steps + ")";
  }
  return from;
}

Schedule Schedule::parse(const std::string& text) {
  double value = 0;
  if (read_number(text, value)) return value;
  const Call call(text);
  if (call.is("constant", 1)) return call.real(0);
  if (call.is("linear", 3)) return linear(call.real(0), call.real(1), call.count(2));
  if (call.is("cosine", 3)) return cosine(call.real(0), call.real(1), call.count(2));
  if (call.is("warmup_cosine", 4)) return warmup_cosine(call.real(0), call.count(1), call.count(2), call.real(3));
  if (call.is("step_decay", 3)) return step_decay(call.real(0), call.real(1), call.count(2));
  raise_unreadable(text);
}

}  // namespace gradus::inline v0
