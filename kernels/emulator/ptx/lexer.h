// PTX text -> tokens. Comments and white space are gone; a directive or modifier `.word` is one token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gradus::emulator::ptx {

struct Token {
  enum class Kind : std::uint8_t {
    end,
    word,     // identifier: foo, %r1, $L__BB0_2, _
    dot,      // .word, also .shared::cta: text without the dot
    integer,  // bits
    f32,      // 0f3F800000: bits
    f64,      // 0d..., 1.5: bits
    string,   // text without the quotes, escapes as they stand
    sign      // one of , ; { } [ ] ( ) < > : = + - * / % & | ^ ~ ! @ << >>
  };
  Kind kind = Kind::end;
  std::string_view text;
  std::uint64_t bits = 0;
  std::uint32_t line = 1;
  std::size_t at = 0;  // offset in the text

  bool is(char c) const { return kind == Kind::sign && text.size() == 1 && text[0] == c; }
  bool is(std::string_view s) const { return kind == Kind::sign && text == s; }
  bool is_dot(std::string_view name) const { return kind == Kind::dot && text == name; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// The next token; Kind::end for ever at the end. Throws ParseError.
  Token next();
  /// Throws ParseError "ptx line N: what: `the line`".
  [[noreturn]] void fail(std::size_t at, std::uint32_t line, const std::string& what) const;

 private:
  void skip_blank();
  Token number();
  Token hex_real(std::size_t digits);
  Token decimal_real();
  Token radix_integer(std::size_t skip, unsigned base);
  Token string();
  std::size_t run_of_word(std::size_t from) const;
  Token make(Token::Kind kind, std::size_t text_from, std::size_t end, std::uint64_t bits = 0);
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  std::string_view text_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace gradus::emulator::ptx
