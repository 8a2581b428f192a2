// Cursor and module scope.
#include <gradus/kernels/emulator/ptx/parser.h>

#include <gradus/kernels/emulator/ptx/parser_state.h>

namespace gradus::emulator::ptx {

Module parse(std::string_view text) { return Parser(text).run(); }

Parser::Parser(std::string_view text) : lexer_(text), text_(text) {
  module_.files.emplace_back();
  module_.locations.emplace_back();
}

Module Parser::run() {
  token_ = lexer_.next();
  next_ = lexer_.next();
  while (token_.kind != Token::Kind::end) module_item();
  if (!has_version_) fail("no .version directive");
  if (!has_target_) fail("no .target directive");
  resolve_aliases();
  lay_out_shared(module_);
  return std::move(module_);
}

void Parser::advance() {
  token_ = next_;
  next_ = lexer_.next();
}

void Parser::fail(const std::string& what) const { lexer_.fail(token_.at, token_.line, what); }

void Parser::fail_at(Place place, const std::string& what) const { lexer_.fail(place.at, place.line, what); }

bool Parser::take(char sign) {
  if (!token_.is(sign)) return false;
  advance();
  return true;
}

void Parser::expect(char sign) {
  if (!take(sign)) fail(std::string("expected `") + sign + "`");
}

std::string Parser::expect_word(const char* what) {
  if (token_.kind != Token::Kind::word) fail(std::string("expected ") + what);
  std::string word(token_.text);
  advance();
  return word;
}

std::uint64_t Parser::expect_integer(const char* what, std::uint64_t most) {
  if (token_.kind != Token::Kind::integer) fail(std::string("expected ") + what);
  const std::uint64_t value = token_.bits;
  if (value > most) fail(std::string(what) + " above " + std::to_string(most));
  advance();
  return value;
}

/// .pragma "nounroll";
void Parser::skip_string_statement() {
  advance();
  do {
    if (token_.kind != Token::Kind::string) fail("expected a string");
    advance();
  } while (take(','));
  expect(';');
}

bool Parser::linkage_word(Linkage& linkage) {
  if (token_.kind != Token::Kind::dot) return false;
  if (token_.text == "extern") {
    linkage.is_extern = true;
  } else if (token_.text == "common") {
    linkage.is_common = true;
  } else if (token_.text != "visible" && token_.text != "weak") {
    return false;
  }
  advance();
  return true;
}

void Parser::module_item() {
  if (token_.kind != Token::Kind::dot) fail("expected a directive");
  Linkage linkage;
  while (linkage_word(linkage)) {}
  if (token_.kind != Token::Kind::dot) fail("expected a directive");
  const std::string_view name = token_.text;
  if (name == "version") return version();
  if (name == "target") return target();
  if (name == "address_size") return address_size();
  if (name == "file") return file();
  if (name == "section") return section();
  if (name == "alias") return alias();
  if (name == "pragma") return skip_string_statement();
  if (name == "global") return module_variable(Space::global, linkage);
  if (name == "const") return module_variable(Space::constant, linkage);
  if (name == "shared") return module_variable(Space::shared, linkage);
  if (name == "entry" || name == "func") {
    advance();
    return function(name == "entry", linkage);
  }
  if (name == "tex") fail("textures are outside this emulator");
  fail("unknown directive `." + std::string(name) + "`");
}

void Parser::version() {
  advance();
  const std::string text(token_.text);  // 8.10 is not 8.1: the digits count, not the value
  const std::size_t dot = text.find('.');
  if (token_.kind != Token::Kind::f64 || dot == std::string::npos || dot == 0 || dot > 3 || text.size() - dot > 4 ||
      dot + 1 == text.size() || text.find_first_not_of("0123456789.") != std::string::npos) {
    fail("expected a version such as 9.0");
  }
  module_.version_major = std::stoi(text.substr(0, dot));
  module_.version_minor = std::stoi(text.substr(dot + 1));
  has_version_ = true;
  advance();
}

void Parser::target() {
  advance();
  const std::string name = expect_word("a target such as sm_80");
  const std::size_t digits = name.find_first_not_of("0123456789", 3);
  const std::string number = name.size() > 3 ? name.substr(3, digits == std::string::npos ? digits : digits - 3) : "";
  if (name.compare(0, 3, "sm_") != 0 || number.empty() || number.size() > 4) fail("expected a target such as sm_80");
  module_.target = name;
  module_.architecture = std::stoi(number);
  has_target_ = true;
  while (take(',')) expect_word("a target option");
}

void Parser::address_size() {
  advance();
  if (expect_integer("an address size", 64) != 64) fail("only 64-bit addresses are supported");
}

/// .file 1 "name"[, timestamp, size]
void Parser::file() {
  advance();
  constexpr std::uint64_t kMostFiles = 1 << 16;
  const std::size_t number = expect_integer("a file number", kMostFiles);
  if (token_.kind != Token::Kind::string) fail("expected a file name");
  if (module_.files.size() <= number) module_.files.resize(number + 1);
  module_.files[number] = std::string(token_.text);
  advance();
  while (take(',')) expect_integer("a number", ~std::uint64_t{0});
}

/// Debug information: its form is checked, its content is not needed (lines come from .loc).
void Parser::section() {
  advance();
  if (token_.kind != Token::Kind::dot && token_.kind != Token::Kind::word) fail("expected a section name");
  advance();
  expect('{');
  while (!token_.is('}')) {
    const bool plain = token_.kind == Token::Kind::word || token_.kind == Token::Kind::dot || token_.kind == Token::Kind::integer;
    if (!plain && !token_.is(',') && !token_.is(':') && !token_.is('+') && !token_.is('-') && !token_.is('(') && !token_.is(')')) {
      fail("unexpected text in a debug section");
    }
    advance();
  }
  advance();
}

/// .alias a, b;
void Parser::alias() {
  advance();
  const Place place = here();
  const std::string name = expect_word("a function name");
  expect(',');
  const std::string target = expect_word("a function name");
  expect(';');
  if (functions_.find(name) == functions_.end()) fail_at(place, "alias of an undeclared function");
  if (functions_.find(target) == functions_.end()) fail_at(place, "alias to an undeclared function");
  aliases_[name] = target;
}

void Parser::resolve_aliases() {
  if (aliases_.empty()) return;
  std::map<std::int32_t, std::int32_t> replaced;
  for (const auto& [name, target] : aliases_) {
    replaced[static_cast<std::int32_t>(functions_.find(name)->second)] = static_cast<std::int32_t>(functions_.find(target)->second);
  }
  for (auto& f : module_.functions) {
    for (Instruction& i : f->body) {
      for (Operand& o : i.operands) {
        const auto it = o.symbol == Operand::Symbol::function ? replaced.find(o.symbol_index) : replaced.end();
        if (it != replaced.end()) o.symbol_index = it->second;
      }
    }
  }
  for (Variable& v : module_.variables) {
    for (Variable::Address& a : v.addresses) {
      const auto it = aliases_.find(a.symbol);
      if (it != aliases_.end()) a.symbol = it->second;
    }
  }
}

void Parser::module_variable(Space space, Linkage linkage) {
  advance();
  const Variable head = variable_head(space);
  do {
    Variable v = variable(head, linkage.is_extern);
    v.is_extern = linkage.is_extern;
    v.is_common = linkage.is_common;
    add_module_variable(std::move(v));
  } while (take(','));
  expect(';');
}

void Parser::add_module_variable(Variable variable) {
  if (functions_.find(variable.name) != functions_.end()) fail("name used twice: `" + variable.name + "`");
  const auto [it, is_new] = variables_.emplace(variable.name, module_.variables.size());
  if (is_new) {
    module_.variables.push_back(std::move(variable));
    return;
  }
  Variable& known = module_.variables[it->second];  // a declaration and its definition, in either order
  if (!known.is_extern && !variable.is_extern) fail("variable defined twice: `" + variable.name + "`");
  if (known.space != variable.space || known.type != variable.type) fail("variable declared in two ways: `" + variable.name + "`");
  if (known.is_extern) known = std::move(variable);
}

}  // namespace gradus::emulator::ptx
