#include <gradus/kernels/emulator/ptx/lexer.h>

#include <bit>
#include <charconv>

#include <gradus/kernels/emulator/ptx/parser.h>

namespace gradus::emulator::ptx {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '$'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v'; }
/// Value of a digit in any base up to 16, or 99.
unsigned digit_of(char c) {
  if (is_digit(c)) return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return 99;
}

}  // namespace

void Lexer::fail(std::size_t at, std::uint32_t line, const std::string& what) const {
  std::size_t begin = at < text_.size() ? at : text_.size();
  while (begin > 0 && text_[begin - 1] != '\n') --begin;
  while (begin < text_.size() && is_blank(text_[begin]) && text_[begin] != '\n') ++begin;
  std::string quote;
  constexpr std::size_t kLongest = 160;  // enough for an instruction; data lines run to thousands
  for (std::size_t i = begin; i < text_.size() && text_[i] != '\n' && quote.size() < kLongest; ++i) {
    const char c = text_[i];
    quote += c >= ' ' && c < 127 ? c : (is_blank(c) ? ' ' : '?');
  }
  while (!quote.empty() && quote.back() == ' ') quote.pop_back();
  throw ParseError("ptx line " + std::to_string(line) + ": " + what + ": `" + quote + "`");
}

Token Lexer::make(Token::Kind kind, std::size_t text_from, std::size_t end, std::uint64_t bits) {
  const Token token{kind, text_.substr(text_from, end - text_from), bits, line_, at_};
  at_ = end;
  return token;
}

void Lexer::skip_blank() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (is_blank(c)) {
      line_ += c == '\n' ? 1 : 0;
      ++at_;
    } else if (c == '/' && peek(1) == '/') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == '/' && peek(1) == '*') {
      const std::size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) fail(at_, line_, "comment without end");
      for (; at_ < end + 2; ++at_) line_ += text_[at_] == '\n' ? 1 : 0;
    } else {
      return;
    }
  }
}

std::size_t Lexer::run_of_word(std::size_t from) const {
  while (from < text_.size() && is_word(text_[from])) ++from;
  return from;
}

Token Lexer::next() {
  skip_blank();
  if (at_ >= text_.size()) return Token{Token::Kind::end, {}, 0, line_, text_.size()};
  const char c = text_[at_];
  if (is_digit(c)) return number();
  if (is_word(c)) return make(Token::Kind::word, at_, run_of_word(at_ + 1));
  if (c == '%' && is_word(peek(1)) && !is_digit(peek(1))) return make(Token::Kind::word, at_, run_of_word(at_ + 1));
  if (c == '.' && is_word(peek(1))) {
    std::size_t end = run_of_word(at_ + 1);
    while (text_.substr(end, 2) == "::" && end + 2 < text_.size() && is_word(text_[end + 2])) end = run_of_word(end + 2);
    return make(Token::Kind::dot, at_ + 1, end);
  }
  if (c == '"') return string();
  if ((c == '<' && peek(1) == '<') || (c == '>' && peek(1) == '>')) return make(Token::Kind::sign, at_, at_ + 2);
  if (std::string_view(",;{}[]()<>:=+-*/%&|^~!@").find(c) != std::string_view::npos) return make(Token::Kind::sign, at_, at_ + 1);
  fail(at_, line_, "unexpected character");
}

Token Lexer::string() {
  const std::size_t end = text_.find_first_of("\"\n", at_ + 1);
  if (end == std::string_view::npos || text_[end] != '"') fail(at_, line_, "string without end");
  Token token = make(Token::Kind::string, at_ + 1, end);
  ++at_;  // the closing quote
  return token;
}

Token Lexer::number() {
  if (peek() == '0') {
    switch (peek(1)) {
      case 'f':
      case 'F': return hex_real(8);
      case 'd':
      case 'D': return hex_real(16);
      case 'x':
      case 'X': return radix_integer(2, 16);
      case 'b':
      case 'B': return radix_integer(2, 2);
      default: break;
    }
  }
  std::size_t end = at_;
  while (end < text_.size() && is_digit(text_[end])) ++end;
  const char after = end < text_.size() ? text_[end] : '\0';
  if (after == '.' || after == 'e' || after == 'E') return decimal_real();
  return peek() == '0' ? radix_integer(1, 8) : radix_integer(0, 10);
}

Token Lexer::hex_real(std::size_t digits) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const unsigned digit = digit_of(peek(2 + i));
    if (digit > 15) fail(at_, line_, "bad floating-point constant");
    bits = bits * 16 + digit;
  }
  if (is_word(peek(2 + digits))) fail(at_, line_, "bad floating-point constant");
  return make(digits == 8 ? Token::Kind::f32 : Token::Kind::f64, at_, at_ + 2 + digits, bits);
}

Token Lexer::decimal_real() {
  std::size_t end = at_;
  while (end < text_.size() && (is_digit(text_[end]) || text_[end] == '.')) ++end;
  if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    ++end;
    if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
    while (end < text_.size() && is_digit(text_[end])) ++end;
  }
  double value = 0;
  const auto [stop, error] = std::from_chars(text_.data() + at_, text_.data() + end, value);  // not strtod: the host may have a locale
  if (error != std::errc{} || stop != text_.data() + end || (end < text_.size() && is_word(text_[end]))) fail(at_, line_, "bad number");
  return make(Token::Kind::f64, at_, end, std::bit_cast<std::uint64_t>(value));
}

Token Lexer::radix_integer(std::size_t skip, unsigned base) {
  std::size_t end = at_ + skip;
  std::uint64_t value = 0;
  for (; end < text_.size() && digit_of(text_[end]) < base; ++end) {
    if (value > (~std::uint64_t{0} - digit_of(text_[end])) / base) fail(at_, line_, "integer of more than 64 bits");
    value = value * base + digit_of(text_[end]);
  }
  if (skip == 2 && end == at_ + 2) fail(at_, line_, "number without digits");
  const std::size_t digits_end = end;
  if (end < text_.size() && text_[end] == 'U') ++end;
  if (end < text_.size() && is_word(text_[end])) fail(at_, line_, "bad number");
  Token token = make(Token::Kind::integer, at_, digits_end, value);
  at_ = end;
  return token;
}

}  // namespace gradus::emulator::ptx
