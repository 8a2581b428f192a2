// Functions: heads, scopes, declarations, labels, locations.
#include <algorithm>
#include <array>

#include <gradus/kernels/emulator/ptx/parser_state.h>

namespace gradus::emulator::ptx {

void Parser::function(bool is_entry, Linkage linkage) {
  if (linkage.is_common) fail("function declared .common");
  std::vector<Variable> returns, parameters;
  Variable ignored;
  while (token_.is_dot("attribute")) attribute(ignored);
  if (token_.is('(')) returns = parameter_list(Space::param);
  const std::string name = expect_word("a function name");
  if (token_.is('(')) parameters = parameter_list(Space::param);
  if (variables_.find(name) != variables_.end()) fail("name used twice: `" + name + "`");
  const auto [it, is_new] = functions_.emplace(name, module_.functions.size());
  if (is_new) module_.functions.push_back(std::make_unique<Function>());
  Function& f = *module_.functions[it->second];
  if (!is_new && f.is_entry != is_entry) fail("`" + name + "` is declared as an entry and as a function");
  f.name = name;
  f.is_entry = is_entry;
  if (!f.has_body) {  // a later declaration adds nothing
    f.parameters = std::move(parameters);
    f.returns = std::move(returns);
    f.parameter_bytes = lay_out(f.parameters);
    f.return_bytes = lay_out(f.returns);
  }
  function_directives(f);
  if (take(';')) return;
  if (f.has_body) fail("function defined twice: `" + name + "`");
  function_ = &f;
  body();
  function_ = nullptr;
}

void Parser::thread_counts(std::uint32_t* counts, std::uint64_t* product) {
  advance();
  *product = 1;
  for (int i = 0; i < 3; ++i) {
    counts[i] = 1;
    if (i > 0 && !take(',')) continue;
    counts[i] = static_cast<std::uint32_t>(expect_integer("a thread count", 0x7FFFFFFF));
    *product = std::min<std::uint64_t>(*product * counts[i], 0xFFFFFFFF);
  }
}

void Parser::function_directives(Function& f) {
  Variable ignored;
  std::uint32_t counts[3];
  std::uint64_t product = 0;
  while (token_.kind == Token::Kind::dot) {
    const std::string_view name = token_.text;
    if (name == "maxntid") {
      thread_counts(counts, &product);
      f.max_threads = static_cast<std::uint32_t>(product);
    } else if (name == "reqntid") {
      thread_counts(f.required_threads, &product);
    } else if (name == "minnctapersm") {
      advance();
      f.min_blocks = static_cast<std::uint32_t>(expect_integer("a count", 0xFFFFFFFF));
    } else if (name == "reqnctapercluster") {
      thread_counts(f.cluster, &product);
      f.needs_cluster = true;
    } else if (name == "explicitcluster") {
      advance();
      f.needs_cluster = true;
    } else if (name == "maxnreg" || name == "maxnctapersm" || name == "maxclusterrank" || name == "abi_preserve" ||
               name == "abi_preserve_control") {
      advance();
      expect_integer("a count", 0xFFFFFFFF);
    } else if (name == "noreturn" || name == "blocksareclusters") {
      advance();
    } else if (name == "pragma") {
      skip_string_statement();
    } else if (name == "attribute") {
      attribute(ignored);
    } else {
      fail("unknown directive `." + std::string(name) + "`");
    }
  }
}

void Parser::body() {
  scopes_.clear();
  location_ = 0;
  call_parameters_ = 0;
  expect('{');
  open_scope();
  while (!scopes_.empty()) {
    if (token_.kind == Token::Kind::end) fail("function without end");
    statement();
  }
  finish_body();
}

/// A body may end without a `ret`.
void Parser::finish_body() {
  Function& f = *function_;
  f.has_body = true;
  const auto end = static_cast<std::uint32_t>(f.body.size());
  bool falls_off = f.body.empty();
  if (!falls_off) {
    const Instruction& last = f.body.back();
    const std::string& m = last.mnemonic;
    falls_off = last.guard >= 0 || (m != "ret" && m != "exit" && m != "bra" && m != "brx" && m != "trap");
  }
  for (const auto& [name, pc] : f.labels) falls_off = falls_off || pc == end;
  if (!falls_off) return;
  Instruction ret;
  ret.mnemonic = ret.text = "ret";
  ret.location = location_;
  ret.text_line = token_.line;
  f.body.push_back(std::move(ret));
}

void Parser::open_scope() {
  if (scopes_.size() >= kMaxNesting) fail("scopes nested too deeply");
  scopes_.emplace_back();
  scopes_.back().call_parameters = call_parameters_;
}

void Parser::close_scope() {
  Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  call_parameters_ = scope.call_parameters;
  for (PendingLabel& pending : scope.pending) {
    const auto it = scope.labels.find(pending.name);
    if (it != scope.labels.end()) {
      resolve(pending, it->second);
    } else if (scopes_.empty()) {
      fail_at(pending.place, "unknown label `" + pending.name + "`");
    } else {
      scopes_.back().pending.push_back(std::move(pending));
    }
  }
}

void Parser::resolve(const PendingLabel& pending, std::uint32_t pc) {
  if (pending.in_table) {
    function_->branch_tables[pending.index][pending.element] = pc;
  } else {
    function_->body[pending.index].operands[pending.element].index = static_cast<std::int32_t>(pc);
  }
}

void Parser::statement() {
  if (take('{')) return open_scope();
  if (token_.is('}')) {
    advance();
    return close_scope();
  }
  if (token_.kind == Token::Kind::dot) return declaration();
  if (take(';')) return;  // inline PTX often ends in one semicolon too many
  if (token_.kind == Token::Kind::word && next_.is(':')) {
    const std::string name(token_.text);
    advance();
    advance();
    if (token_.is_dot("branchtargets")) return branch_targets(name);
    if (token_.is_dot("callprototype")) return prototype(name);
    if (token_.is_dot("calltargets")) return call_targets(name);
    return label(name);
  }
  instruction();
}

void Parser::declaration() {
  const std::string_view name = token_.text;
  if (name == "reg") return registers();
  if (name == "local") return function_variable(Space::local);
  if (name == "shared") return function_variable(Space::shared);
  if (name == "param") return function_variable(Space::param);
  if (name == "loc") return location();
  if (name == "file") return file();
  if (name == "pragma") return skip_string_statement();
  if (name == "global") return module_variable(Space::global, {});
  if (name == "const") return module_variable(Space::constant, {});
  if (name == "extern") {  // extern shared memory declared inside a function
    Linkage linkage;
    linkage_word(linkage);
    if (!token_.is_dot("shared")) fail("expected .shared");
    return module_variable(Space::shared, linkage);
  }
  if (name == "tex") fail("textures are outside this emulator");
  fail("unknown directive `." + std::string(name) + "`");
}

bool Parser::declared_here(std::string_view name) const {
  const Scope& s = scopes_.back();
  return s.registers.find(name) != s.registers.end() || s.variables.find(name) != s.variables.end() ||
         s.labels.find(name) != s.labels.end() || s.tables.find(name) != s.tables.end() || s.prototypes.find(name) != s.prototypes.end();
}

/// .reg .b32 %r<10>, a, b;
void Parser::registers() {
  advance();
  if (token_.is_dot("v2") || token_.is_dot("v4") || token_.is_dot("v8")) fail("vector registers are not supported");
  const Type type = token_.kind == Token::Kind::dot ? type_of(token_.text) : Type::none;
  if (type == Type::none || type == Type::s4 || type == Type::u4 || type == Type::b1) fail("expected a register type");
  advance();
  do {
    const std::string name = expect_word("a register name");
    if (take('<')) {
      declare_family(name, expect_integer("a register count", kMaxRegisters), type);
      expect('>');
    } else {
      declare_register(name, type);
    }
  } while (take(','));
  expect(';');
}

void Parser::declare_register(const std::string& name, Type type) {
  if (declared_here(name)) fail("name declared twice: `" + name + "`");
  if (++register_count_ > kMaxModuleRegisters || function_->registers.size() >= kMaxRegisters) fail("too many registers");
  scopes_.back().registers.emplace(name, function_->registers.size());
  function_->registers.push_back({name, type});
}

void Parser::declare_family(const std::string& prefix, std::uint64_t count, Type type) {
  register_count_ += count;
  if (register_count_ > kMaxModuleRegisters || function_->registers.size() + count > kMaxRegisters) fail("too many registers");
  const Family family{function_->registers.size(), count};
  if (!scopes_.back().families.emplace(prefix, family).second) fail("registers declared twice: `" + prefix + "`");
  for (std::uint64_t i = 0; i < count; ++i) function_->registers.push_back({prefix + std::to_string(i), type});
}

void Parser::function_variable(Space space) {
  advance();
  const Variable head = variable_head(space);
  do {
    Variable v = variable(head, false);
    if (declared_here(v.name)) fail("name declared twice: `" + v.name + "`");
    Function& f = *function_;
    scopes_.back().variables.emplace(v.name, f.variables.size());
    if (scopes_.size() > 1) v.name += "@" + std::to_string(f.variables.size());
    if (space == Space::param) {
      v.offset = align_up(call_parameters_, v.align);
      call_parameters_ = v.offset + v.bytes;
      f.call_parameter_bytes = std::max(f.call_parameter_bytes, call_parameters_);
      if (call_parameters_ > kMaxParameterBytes) fail("more than 2^20 bytes of call parameters");
    } else if (space == Space::local) {
      v.offset = align_up(f.local_bytes, v.align);
      f.local_bytes = v.offset + v.bytes;
      f.local_align = std::max(f.local_align, v.align);
      if (f.local_bytes > kMaxVariableBytes) fail("more than 2^31 bytes of local memory");
    }
    f.variables.push_back(std::move(v));  // shared memory is laid out when all functions are known
  } while (take(','));
  expect(';');
}

/// .loc file line column[, function_name label[+n], inlined_at file line column]
void Parser::location() {
  advance();
  const auto place = [this] {
    std::array<std::uint32_t, 3> where{};
    where[0] = static_cast<std::uint32_t>(expect_integer("a file number", 1 << 16));
    where[1] = static_cast<std::uint32_t>(expect_integer("a line", 0xFFFFFFFF));
    where[2] = static_cast<std::uint32_t>(expect_integer("a column", 0xFFFFFFFF));
    return where;
  };
  const std::array<std::uint32_t, 3> where = place();
  std::int32_t inlined_at = -1;
  if (take(',')) {
    if (expect_word("function_name") != "function_name") fail("expected function_name");
    if (token_.kind != Token::Kind::word && token_.kind != Token::Kind::dot) fail("expected a label");
    advance();
    optional_offset();
    expect(',');
    if (expect_word("inlined_at") != "inlined_at") fail("expected inlined_at");
    const std::array<std::uint32_t, 3> call = place();
    const auto it = latest_location_.find(call);
    inlined_at = static_cast<std::int32_t>(it != latest_location_.end() ? it->second : location_index(call, -1));
  }
  location_ = location_index(where, inlined_at);
}

std::uint32_t Parser::location_index(std::array<std::uint32_t, 3> where, std::int32_t inlined_at) {
  const auto [it, is_new] =
      known_locations_.emplace(std::make_pair(where, inlined_at), static_cast<std::uint32_t>(module_.locations.size()));
  if (is_new) module_.locations.push_back({where[0], where[1], inlined_at});
  latest_location_[where] = it->second;
  return it->second;
}

void Parser::label(const std::string& name) {
  if (declared_here(name)) fail("name declared twice: `" + name + "`");
  Function& f = *function_;
  const auto pc = static_cast<std::uint32_t>(f.body.size());
  scopes_.back().labels.emplace(name, pc);
  if (!f.labels.emplace(name, pc).second) f.labels.emplace(name + "@" + std::to_string(pc), pc);  // the same label in another scope
}

/// name: .branchtargets a, b;
void Parser::branch_targets(const std::string& name) {
  advance();
  if (declared_here(name)) fail("name declared twice: `" + name + "`");
  const std::size_t table = function_->branch_tables.size();
  function_->branch_tables.emplace_back();
  scopes_.back().tables.emplace(name, table);
  do {
    const Place place = here();
    const std::string target = expect_word("a label");
    scopes_.back().pending.push_back({target, place, true, table, function_->branch_tables[table].size()});
    function_->branch_tables[table].push_back(0);
  } while (take(','));
  expect(';');
}

/// name: .callprototype (returns) _ (parameters) [.noreturn];
void Parser::prototype(const std::string& name) {
  advance();
  if (declared_here(name)) fail("name declared twice: `" + name + "`");
  Prototype p;
  p.name = name;
  if (token_.is('(')) p.returns = parameter_list(Space::param);
  if (expect_word("_") != "_") fail("expected _");
  if (token_.is('(')) p.parameters = parameter_list(Space::param);
  Function ignored;
  function_directives(ignored);
  expect(';');
  lay_out(p.returns);
  lay_out(p.parameters);
  scopes_.back().prototypes.emplace(name, module_.prototypes.size());
  module_.prototypes.push_back(std::move(p));
}

/// name: .calltargets f, g; as a signature that is the first one's
void Parser::call_targets(const std::string& name) {
  advance();
  if (declared_here(name)) fail("name declared twice: `" + name + "`");
  Prototype p;
  p.name = name;
  do {
    const Place place = here();
    const auto it = functions_.find(expect_word("a function name"));
    if (it == functions_.end()) fail_at(place, "undeclared function");
    p.returns = module_.functions[it->second]->returns;
    p.parameters = module_.functions[it->second]->parameters;
  } while (take(','));
  expect(';');
  scopes_.back().prototypes.emplace(name, module_.prototypes.size());
  module_.prototypes.push_back(std::move(p));
}

}  // namespace gradus::emulator::ptx
