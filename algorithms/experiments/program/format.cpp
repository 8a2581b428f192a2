#include <gradus/algorithms/experiments/program/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace gradus::experiments {

std::string shortest(double value) {
  char text[64];  // the longest shortest form of a double has 24 characters
  // The comparison decides which type to print; a double outside float's range must not be converted.
  const bool fits = std::abs(value) <= std::numeric_limits<float>::max();
  const bool is_float = fits && static_cast<double>(static_cast<float>(value)) == value;
  const auto end =
      is_float ? std::to_chars(text, text + sizeof text, static_cast<float>(value)) : std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

double as_written(double value) {
  const std::string text = shortest(value);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string fixed(double value, int decimals) {
  char text[400];  // 309 digits before the point of the largest double
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, decimals);
  std::string result(text, end.ptr);
  const bool is_zero = result.find_first_not_of("-0.") == std::string::npos;
  return is_zero && result[0] == '-' ? result.substr(1) : result;
}

std::string readable(double value) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 4);
  std::string result(text, end.ptr);
  const std::size_t exponent = result.find('e');
  if (exponent == std::string::npos) return result;
  // 1e+06 and 1e-05 are written 1e6 and 1e-5
  if (result[exponent + 1] == '+') result.erase(exponent + 1, 1);
  const std::size_t digits = result.find_first_of("0123456789", exponent);
  if (result[digits] == '0') result.erase(digits, 1);
  return result;
}

std::string duration(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (seconds < 10 && seconds != std::floor(seconds)) return fixed(seconds, 1) + " s";
  if (whole < 60) return std::to_string(whole) + " s";
  const auto two_digits = [](long long n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 3600) return std::to_string(whole / 60) + " min " + two_digits(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + two_digits(whole % 3600 / 60) + " min";
}

std::string byte_count(double bytes) {
  const char* units[] = {"B", "KB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 4) bytes /= 1000, ++unit;
  return fixed(bytes, bytes < 9.95 && unit > 0 ? 1 : 0) + " " + units[unit];
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '&': result += "&amp;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += c;
    }
  return result;
}

std::string joined(const std::vector<std::string>& parts, const std::string& separator) {
  std::string result;
  for (std::size_t i = 0; i < parts.size(); ++i) result += (i ? separator : "") + parts[i];
  return result;
}

std::size_t display_width(const std::string& text) {
  // Every byte but UTF-8's continuation bytes 10xxxxxx begins a character.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace gradus::experiments
