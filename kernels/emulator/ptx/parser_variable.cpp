// Variables, their initialisers, and constant expressions.
#include <algorithm>
#include <bit>
#include <cstring>

#include <gradus/kernels/emulator/ptx/parser_state.h>

namespace gradus::emulator::ptx {

std::uint32_t Parser::alignment() {
  advance();
  const std::uint64_t align = expect_integer("an alignment", 1 << 16);
  if (!std::has_single_bit(align)) fail("alignment that is not a power of two");
  return static_cast<std::uint32_t>(align);
}

/// .ptr [.space] [.align n]: what a pointer parameter points to; nothing here depends on it.
void Parser::pointer_attribute() {
  advance();
  for (const std::string_view space : {"global", "const", "shared", "local"}) {
    if (token_.is_dot(space)) {
      advance();
      break;
    }
  }
  if (token_.is_dot("align")) alignment();
}

/// .attribute(.managed, .unified(a, b))
void Parser::attribute(Variable& v) {
  advance();
  expect('(');
  do {
    if (token_.is_dot("managed")) {
      v.is_managed = true;
    } else if (!token_.is_dot("unified")) {
      fail("unknown attribute");
    }
    advance();
    if (take('(')) {
      do expect_integer("a number", ~std::uint64_t{0});
      while (take(','));
      expect(')');
    }
  } while (take(','));
  expect(')');
}

void Parser::variable_modifier(Variable& v, unsigned& vector, bool& type_seen) {
  const std::string_view word = token_.text;
  if (word == "align") {
    v.align = alignment();
    return;
  }
  if (word == "ptr") return pointer_attribute();
  if (word == "attribute") return attribute(v);
  if (word == "texref" || word == "surfref" || word == "samplerref") fail("textures, samplers and surfaces are outside this emulator");
  if (word == "v2" || word == "v4" || word == "v8") {
    vector = static_cast<unsigned>(word[1] - '0');
  } else {
    v.type = type_of(word);
    if (type_seen || v.type == Type::none || v.type == Type::pred || v.type == Type::s4 || v.type == Type::u4 || v.type == Type::b1) {
      fail("unknown type or attribute `." + std::string(word) + "`");
    }
    type_seen = true;
  }
  advance();
}

/// Everything before the name. The element count of a .v2 or .v4 is left in `bytes` for variable().
Variable Parser::variable_head(Space space) {
  Variable v;
  v.space = space;
  v.align = 0;
  unsigned vector = 1;
  bool type_seen = false;
  while (token_.kind == Token::Kind::dot) variable_modifier(v, vector, type_seen);
  if (!type_seen) fail("variable without a type");
  v.bytes = vector;
  if (v.align == 0) v.align = static_cast<std::uint32_t>(bytes_of(v.type)) * vector;
  return v;
}

/// [2][3]; `unsized`: the first extent is left open.
std::vector<std::uint64_t> Parser::dimensions(bool& unsized) {
  std::vector<std::uint64_t> extents;
  unsized = false;
  while (take('[')) {
    if (token_.is(']')) {
      if (!extents.empty()) fail("only the first extent may be left open");
      unsized = true;
      extents.push_back(0);
    } else {
      const std::int64_t extent = integer_constant();
      if (extent < 0 || static_cast<std::uint64_t>(extent) > kMaxVariableBytes) fail("extent out of range");
      extents.push_back(static_cast<std::uint64_t>(extent));
    }
    if (extents.size() > 8) fail("too many dimensions");
    expect(']');
  }
  return extents;
}

Variable Parser::variable(Variable v, bool may_be_unsized) {
  v.name = expect_word("a variable name");
  bool unsized = false;
  std::vector<std::uint64_t> extents = dimensions(unsized);
  if (v.bytes > 1) extents.push_back(v.bytes);
  v.bytes = static_cast<std::uint64_t>(bytes_of(v.type));
  for (const std::uint64_t extent : extents) {
    v.bytes *= extent;  // each factor is at most 2^31, and so is the product so far
    if (v.bytes > kMaxVariableBytes) fail("variable of more than 2^31 bytes");
  }
  if (take('=')) {
    if (v.space != Space::global && v.space != Space::constant) fail("only .global and .const variables have initialisers");
    if (unsized) extents[0] = kMaxVariableBytes;
    initialiser(v, extents, 0, 0, 0);
    if (unsized) {
      std::uint64_t end = v.initial.size();
      for (const Variable::Address& a : v.addresses) end = std::max(end, a.at + a.bytes);
      v.bytes = end;
    }
  } else if (unsized && !may_be_unsized) {
    fail("array without a size");
  }
  return v;
}

/// `level` is the extent that a brace at this point spans; missing values are zero.
void Parser::initialiser(Variable& v, const std::vector<std::uint64_t>& extents, std::size_t level, std::uint64_t at, std::size_t depth) {
  if (!take('{')) return initial_value(v, at);
  if (depth >= kMaxNesting) fail("initialiser nested too deeply");
  const auto bytes = static_cast<std::uint64_t>(bytes_of(v.type));
  std::uint64_t stride = bytes;
  for (std::size_t i = level + 1; i < extents.size(); ++i) stride *= extents[i];
  const std::uint64_t end = at + stride * (level < extents.size() ? extents[level] : 1);
  while (!token_.is('}')) {
    if (at >= end) fail("more values than the variable holds");
    const bool nested = token_.is('{');
    initialiser(v, extents, level + 1, at, depth + 1);
    at += nested ? stride : bytes;
    if (!take(',')) break;
  }
  expect('}');
}

void Parser::initial_value(Variable& v, std::uint64_t at) {
  const auto bytes = static_cast<std::uint8_t>(bytes_of(v.type));
  if (token_.kind == Token::Kind::word) return initial_address(v, at, bytes, 0);
  if (token_.kind == Token::Kind::integer && next_.is('(')) {  // 0xFF00(symbol): the byte of the address under the mask
    const std::uint64_t mask = token_.bits;
    const int shift = mask == 0 ? 0 : std::countr_zero(mask);
    if (mask == 0 || std::popcount(mask) % 8 != 0 || shift % 8 != 0 ||
        (mask >> shift) != (~std::uint64_t{0} >> (64 - std::popcount(mask)))) {
      fail("mask that does not select whole bytes");
    }
    advance();
    advance();
    initial_address(v, at, bytes, static_cast<std::uint8_t>(shift));
    return expect(')');
  }
  store_initial(v, at, constant());
}

/// symbol + n, generic(symbol) + n
void Parser::initial_address(Variable& v, std::uint64_t at, std::uint8_t bytes, std::uint8_t shift) {
  if (v.type == Type::f16 || v.type == Type::bf16 || v.type == Type::f32 || v.type == Type::f64)
    fail("address in a floating-point variable");
  Variable::Address address;
  address.at = at;
  address.bytes = bytes;
  address.shift = shift;
  address.symbol = expect_word("a symbol");
  if (address.symbol == "generic" && take('(')) {
    address.generic = true;
    address.symbol = expect_word("a symbol");
    address.addend = optional_offset();
    expect(')');
  }
  address.addend += optional_offset();
  v.addresses.push_back(std::move(address));
}

void Parser::store_initial(Variable& v, std::uint64_t at, Constant value) {
  const bool real = value.literal != Operand::Literal::integer;
  if (v.type == Type::f32) {
    if (!real) fail("integer in a floating-point initialiser");
    if (value.literal == Operand::Literal::f64) {
      value.bits = std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(value.bits)));
    }
  } else if (v.type == Type::f64) {
    if (!real) fail("integer in a floating-point initialiser");
    if (value.literal == Operand::Literal::f32) {
      value.bits = std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value.bits))));
    }
  } else if (real) {
    fail("floating-point value in an integer initialiser");
  }
  const auto bytes = static_cast<std::size_t>(bytes_of(v.type));
  if (at + bytes > 64 * text_.size()) fail("initialiser with too wide gaps");  // nested braces pad; memory must stay near the text's size
  if (v.initial.size() < at + bytes) v.initial.resize(at + bytes);
  std::memcpy(v.initial.data() + at, &value.bits, std::min<std::size_t>(bytes, sizeof value.bits));
}

/// ( .param .u64 a, .param .u32 b )
std::vector<Variable> Parser::parameter_list(Space space) {
  std::vector<Variable> list;
  expect('(');
  while (!token_.is(')')) {
    if (token_.is_dot("reg")) fail("parameters in registers are not supported (compile for sm_20 or newer)");
    if (!token_.is_dot("param")) fail("expected .param");
    advance();
    list.push_back(variable(variable_head(space), true));
    for (std::size_t i = 0; i + 1 < list.size(); ++i) {
      if (list[i].name == list.back().name && list[i].name != "_") fail("parameter named twice: `" + list[i].name + "`");
    }
    if (list.size() > 4096) fail("too many parameters");
    if (!take(',')) break;
  }
  expect(')');
  return list;
}

std::uint64_t Parser::lay_out(std::vector<Variable>& variables) {
  std::uint64_t bytes = 0;
  for (Variable& v : variables) {
    v.offset = align_up(bytes, v.align);
    bytes = v.offset + v.bytes;
  }
  if (bytes > kMaxParameterBytes) fail("more than 2^20 bytes of parameters");
  return bytes;
}

/// A number with an optional minus, or an integer expression.
Parser::Constant Parser::constant() {
  const bool minus = token_.is('-') && (next_.kind == Token::Kind::f32 || next_.kind == Token::Kind::f64);
  if (minus) advance();
  Constant c;
  if (token_.kind == Token::Kind::f32) {
    c.literal = Operand::Literal::f32;
    c.bits = token_.bits ^ (minus ? std::uint64_t{1} << 31 : 0);
  } else if (token_.kind == Token::Kind::f64) {
    c.literal = Operand::Literal::f64;
    c.bits = token_.bits ^ (minus ? std::uint64_t{1} << 63 : 0);
  } else {
    c.bits = expression(0, 0);
    return c;
  }
  advance();
  return c;
}

std::int64_t Parser::integer_constant() { return static_cast<std::int64_t>(expression(0, 0)); }

namespace {

/// Precedence of a binary operator of constant expressions, -1: none. `|` is left out: p|q is a pair of operands.
int precedence_of(const Token& token) {
  if (token.is('^')) return 0;
  if (token.is('&')) return 1;
  if (token.is("<<") || token.is(">>")) return 2;
  if (token.is('+') || token.is('-')) return 3;
  if (token.is('*') || token.is('/') || token.is('%')) return 4;
  return -1;
}

}  // namespace

std::uint64_t Parser::expression(int least_precedence, std::size_t depth) {
  if (depth > kMaxNesting) fail("expression nested too deeply");
  std::uint64_t left = unary(depth);
  for (int precedence = precedence_of(token_); precedence >= least_precedence && precedence >= 0; precedence = precedence_of(token_)) {
    const Token op = token_;
    advance();
    const std::uint64_t right = expression(precedence + 1, depth + 1);
    const auto a = static_cast<std::int64_t>(left), b = static_cast<std::int64_t>(right);
    if ((op.is('/') || op.is('%')) && (b == 0 || b == -1)) {
      if (b == 0) fail("division by zero");
      left = op.is('/') ? 0 - left : 0;  // INT64_MIN / -1 must not trap
    } else if (op.is('/')) {
      left = static_cast<std::uint64_t>(a / b);
    } else if (op.is('%')) {
      left = static_cast<std::uint64_t>(a % b);
    } else if (op.is('*')) {
      left *= right;
    } else if (op.is('+')) {
      left += right;
    } else if (op.is('-')) {
      left -= right;
    } else if (op.is('&')) {
      left &= right;
    } else if (op.is('^')) {
      left ^= right;
    } else if (right > 63) {
      fail("shift by more than 63");
    } else {
      left = op.is("<<") ? left << right : static_cast<std::uint64_t>(a >> right);
    }
  }
  return left;
}

std::uint64_t Parser::unary(std::size_t depth) {
  if (depth > kMaxNesting) fail("expression nested too deeply");
  if (take('-')) return 0 - unary(depth + 1);
  if (take('+')) return unary(depth + 1);
  if (take('~')) return ~unary(depth + 1);
  if (take('!')) return unary(depth + 1) == 0 ? 1 : 0;
  if (take('(')) {
    const std::uint64_t value = expression(0, depth + 1);
    expect(')');
    return value;
  }
  if (token_.kind != Token::Kind::integer) fail("expected a number");
  const std::uint64_t value = token_.bits;
  advance();
  return value;
}

std::int64_t Parser::optional_offset() {
  if (!token_.is('+') && !token_.is('-')) return 0;
  return integer_constant();  // the sign is the expression's own
}

}  // namespace gradus::emulator::ptx
