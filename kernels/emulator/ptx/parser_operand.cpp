// Instructions and their operands.
#include <algorithm>

#include <gradus/kernels/emulator/ptx/parser_state.h>

namespace gradus::emulator::ptx {
namespace {

constexpr std::string_view kVectorSpecials[] = {"tid",       "ntid",       "ctaid",         "nctaid",
                                                "clusterid", "nclusterid", "cluster_ctaid", "cluster_nctaid"};
constexpr std::string_view kScalarSpecials[] = {"laneid",
                                                "warpid",
                                                "nwarpid",
                                                "smid",
                                                "nsmid",
                                                "gridid",
                                                "cluster_ctarank",
                                                "cluster_nctarank",
                                                "is_explicit_cluster",
                                                "lanemask_eq",
                                                "lanemask_le",
                                                "lanemask_lt",
                                                "lanemask_ge",
                                                "lanemask_gt",
                                                "clock",
                                                "clock_hi",
                                                "clock64",
                                                "globaltimer",
                                                "globaltimer_lo",
                                                "globaltimer_hi",
                                                "dynamic_smem_size",
                                                "total_smem_size",
                                                "aggr_smem_size",
                                                "reserved_smem_offset_begin",
                                                "reserved_smem_offset_end",
                                                "reserved_smem_offset_cap",
                                                "reserved_smem_offset_0",
                                                "reserved_smem_offset_1",
                                                "current_graph_exec"};

/// "envreg", "31" -> true
bool is_numbered(std::string_view name, std::string_view prefix, unsigned most) {
  if (name.substr(0, prefix.size()) != prefix) return false;
  name.remove_prefix(prefix.size());
  if (name.empty() || name.size() > 2 || name.find_first_not_of("0123456789") != std::string_view::npos) return false;
  unsigned value = 0;
  for (const char c : name) value = value * 10 + static_cast<unsigned>(c - '0');
  return value <= most;
}

}  // namespace

bool is_special_register(std::string_view name) {
  if (name == "WARP_SZ") return true;
  if (name.empty() || name[0] != '%') return false;
  name.remove_prefix(1);
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    const std::string_view part = name.substr(dot + 1);
    name = name.substr(0, dot);
    return std::find(std::begin(kVectorSpecials), std::end(kVectorSpecials), name) != std::end(kVectorSpecials) &&
           (part == "x" || part == "y" || part == "z");
  }
  return std::find(std::begin(kScalarSpecials), std::end(kScalarSpecials), name) != std::end(kScalarSpecials) ||
         is_numbered(name, "envreg", 31) || is_numbered(name, "pm", 7);
}

void Parser::instruction() {
  Instruction i;
  const std::size_t begin = token_.at;
  i.text_line = token_.line;
  i.location = location_;
  if (token_.is('@')) guard(i);
  i.mnemonic = expect_word("an instruction");
  while (token_.kind == Token::Kind::dot) {
    i.modifiers.emplace_back(token_.text);
    if (i.modifiers.size() > 32) fail("too many modifiers");
    advance();
  }
  i.mnemonic == "call" ? call_operands(i) : operands(i);
  if ((i.mnemonic == "bra" && i.operands.size() != 1) || (i.mnemonic == "brx" && i.operands.size() != 2)) fail("a branch has one target");
  if (!token_.is(';')) fail("expected `;`");
  for (const char c : text_.substr(begin, std::min<std::size_t>(token_.at - begin, 200))) {
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!blank || (!i.text.empty() && i.text.back() != ' ')) i.text += blank ? ' ' : c;
  }
  advance();
  function_->body.push_back(std::move(i));
}

/// @p or @!p
void Parser::guard(Instruction& instruction) {
  advance();
  instruction.guard_negated = take('!');
  const Place place = here();
  Operand p;
  if (!find_register(expect_word("a predicate register"), p)) fail_at(place, "unknown predicate register");
  if (function_->registers[static_cast<std::size_t>(p.index)].type != Type::pred) fail_at(place, "guard that is not a predicate");
  instruction.guard = p.index;
}

void Parser::operands(Instruction& instruction) {
  if (token_.is(';')) return;
  do {
    if (instruction.operands.size() >= 32) fail("too many operands");
    instruction.operands.push_back(operand(instruction));
  } while (take(','));
}

Operand Parser::operand(const Instruction& instruction) {
  const std::size_t position = instruction.operands.size();
  if (instruction.mnemonic == "bra") return label_operand(position);
  if (instruction.mnemonic == "brx" && position == 1) return table_operand();
  if (token_.is('[')) return memory_operand();
  Operand first = token_.is('{') ? vector_operand() : simple_operand();
  if (!token_.is('|')) return first;
  advance();
  Operand pair;
  pair.kind = Operand::Kind::pair;
  pair.elements.push_back(std::move(first));
  pair.elements.push_back(simple_operand());
  for (const Operand& o : pair.elements) {
    if (o.kind != Operand::Kind::reg && o.kind != Operand::Kind::sink) fail("expected two registers in p|q");
  }
  return pair;
}

/// Registers, numbers, symbols, `_`.
Operand Parser::simple_operand() {
  if (token_.is('!')) {
    advance();
    Operand o = named_operand();
    const bool is_predicate = o.kind == Operand::Kind::reg && function_->registers[static_cast<std::size_t>(o.index)].type == Type::pred;
    if (!is_predicate) fail("`!` before something that is not a predicate");
    o.negated = true;
    return o;
  }
  if (token_.is('-') && next_.kind == Token::Kind::word && next_.text != "WARP_SZ") {
    advance();
    Operand o = named_operand();
    if (o.kind != Operand::Kind::reg) fail("minus before something that is not a register");
    o.negated = true;
    return o;
  }
  if (token_.kind == Token::Kind::word) return named_operand();
  Operand o;
  o.kind = Operand::Kind::immediate;
  const std::size_t begin = token_.at;
  const Constant c = constant();
  o.literal = c.literal;
  o.bits = c.bits;
  o.name = std::string(text_.substr(begin, std::min<std::size_t>(token_.at - begin, 64)));
  while (!o.name.empty() && o.name.back() == ' ') o.name.pop_back();
  return o;
}

Operand Parser::vector_operand() {
  Operand v;
  v.kind = Operand::Kind::vector;
  advance();
  while (!token_.is('}')) {
    if (v.elements.size() >= kMaxElements) fail("too many elements");
    v.elements.push_back(simple_operand());
    if (!take(',')) break;
  }
  expect('}');
  return v;
}

/// [base + offset]; coordinates of tensor copies and textures come along as elements, for the decoder's message.
Operand Parser::memory_operand() {
  Operand m;
  advance();
  if (token_.kind == Token::Kind::word) {
    m = named_operand();
    if (m.kind == Operand::Kind::reg || m.kind == Operand::Kind::symbol) {
      m.offset += optional_offset();
    } else {
      fail("address that is neither a register nor a symbol");
    }
  } else {
    m.offset = integer_constant();
  }
  m.kind = Operand::Kind::memory;
  while (take(',')) {
    if (m.elements.size() >= kMaxElements) fail("too many elements");
    m.elements.push_back(token_.is('{') ? vector_operand() : simple_operand());
  }
  expect(']');
  return m;
}

Operand Parser::label_operand(std::size_t position) {
  Operand o;
  o.kind = Operand::Kind::label;
  const Place place = here();
  o.name = expect_word("a label");
  scopes_.back().pending.push_back({o.name, place, false, function_->body.size(), position});
  return o;
}

Operand Parser::table_operand() {
  Operand o;
  o.kind = Operand::Kind::label;
  const Place place = here();
  o.name = expect_word("a list of branch targets");
  for (auto s = scopes_.rbegin(); s != scopes_.rend(); ++s) {
    const auto it = s->tables.find(o.name);
    if (it == s->tables.end()) continue;
    o.index = static_cast<std::int32_t>(it->second);
    return o;
  }
  fail_at(place, "unknown list of branch targets `" + o.name + "`");
}

bool Parser::find_register(std::string_view name, Operand& out) const {
  std::size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
  const std::string_view number = name.substr(digits);
  const bool may_be_numbered = !number.empty() && number.size() <= 7 && (number.size() == 1 || number[0] != '0');
  std::size_t value = 0;
  for (const char c : may_be_numbered ? number : std::string_view{}) value = value * 10 + static_cast<std::size_t>(c - '0');
  for (auto s = scopes_.rbegin(); s != scopes_.rend(); ++s) {
    std::size_t index = 0;
    const auto exact = s->registers.find(name);
    if (exact != s->registers.end()) {
      index = exact->second;
    } else if (may_be_numbered) {
      // %r12 may belong to %r<20> as 12, and to %r1<5> as 2: the longest prefix that nvcc uses is the whole word.
      const auto family = s->families.find(name.substr(0, digits));
      if (family == s->families.end() || value >= family->second.count) continue;
      index = family->second.first + value;
    } else {
      continue;
    }
    out.kind = Operand::Kind::reg;
    out.index = static_cast<std::int32_t>(index);
    out.name = std::string(name);
    return true;
  }
  return false;
}

bool Parser::find_symbol(std::string_view name, Operand& out) const {
  const auto found = [&](Operand::Symbol symbol, std::size_t index) {
    out.kind = Operand::Kind::symbol;
    out.symbol = symbol;
    out.symbol_index = static_cast<std::int32_t>(index);
    out.name = std::string(name);
    return true;
  };
  for (auto s = scopes_.rbegin(); s != scopes_.rend(); ++s) {
    const auto it = s->variables.find(name);
    if (it != s->variables.end()) return found(Operand::Symbol::function_variable, it->second);
  }
  const std::vector<Variable>&p = function_->parameters, &r = function_->returns;
  const auto is_named = [&](const Variable& v) { return v.name == name; };
  const auto parameter = std::find_if(p.begin(), p.end(), is_named);
  if (parameter != p.end()) return found(Operand::Symbol::parameter, static_cast<std::size_t>(parameter - p.begin()));
  const auto result = std::find_if(r.begin(), r.end(), is_named);
  if (result != r.end()) return found(Operand::Symbol::parameter, p.size() + static_cast<std::size_t>(result - r.begin()));
  const auto variable = variables_.find(name);
  if (variable != variables_.end()) return found(Operand::Symbol::module_variable, variable->second);
  const auto function = functions_.find(name);
  if (function != functions_.end()) return found(Operand::Symbol::function, function->second);
  return false;
}

Operand Parser::named_operand() {
  const Place place = here();
  const std::string name = expect_word("a name");
  Operand o;
  if (name == "_") {
    o.kind = Operand::Kind::sink;
    o.name = name;
    return o;
  }
  if (find_register(name, o)) {
    if (token_.kind == Token::Kind::dot) fail("operand selectors are not supported");
    return o;
  }
  if (find_symbol(name, o)) {
    if (!token_.is('|')) o.offset = optional_offset();
    return o;
  }
  std::string special = name;
  if (name[0] == '%' && token_.kind == Token::Kind::dot) {
    special += "." + std::string(token_.text);
    advance();
  }
  if (!is_special_register(special)) fail_at(place, "unknown name `" + special + "`");
  o.kind = Operand::Kind::special;
  o.name = special;
  return o;
}

/// (a, b): of a call
Operand Parser::call_list() {
  Operand list;
  list.kind = Operand::Kind::vector;
  expect('(');
  while (!token_.is(')')) {
    if (list.elements.size() >= 4096) fail("too many arguments");
    list.elements.push_back(simple_operand());
    if (!take(',')) break;
  }
  expect(')');
  return list;
}

Operand Parser::call_prototype() {
  Operand o;
  const Place place = here();
  o.name = expect_word("a prototype");
  for (auto s = scopes_.rbegin(); s != scopes_.rend(); ++s) {
    const auto it = s->prototypes.find(o.name);
    if (it == s->prototypes.end()) continue;
    o.kind = Operand::Kind::symbol;
    o.symbol = Operand::Symbol::prototype;
    o.symbol_index = static_cast<std::int32_t>(it->second);
    return o;
  }
  fail_at(place, "unknown prototype `" + o.name + "`");
}

/// call [(returns),] callee [, (arguments) [, prototype]]
void Parser::call_operands(Instruction& instruction) {
  Operand returns, arguments;
  returns.kind = arguments.kind = Operand::Kind::vector;
  if (token_.is('(')) {
    returns = call_list();
    expect(',');
  }
  const Place place = here();
  Operand callee = named_operand();
  const bool is_function = callee.kind == Operand::Kind::symbol && callee.symbol == Operand::Symbol::function;
  if (!is_function && callee.kind != Operand::Kind::reg) fail_at(place, "call of something that is not a function");
  instruction.operands = {std::move(returns), std::move(callee), std::move(arguments)};
  if (!take(',')) return;
  if (token_.is('(')) {
    instruction.operands[2] = call_list();
    if (!take(',')) return;
  }
  instruction.operands.push_back(call_prototype());
}

}  // namespace gradus::emulator::ptx
