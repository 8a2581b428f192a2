// The parser at work: private to ptx/parser*.cpp. One token of look-ahead; names are resolved as they are met, labels when their scope
// closes.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gradus/kernels/emulator/ptx/lexer.h>
#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator::ptx {

template <class T> using NameMap = std::map<std::string, T, std::less<>>;

inline constexpr std::uint64_t kMaxVariableBytes = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kMaxParameterBytes = std::uint64_t{1} << 20;  // of a function, of a call; far beyond what CUDA allows
inline constexpr std::size_t kMaxRegisters = std::size_t{1} << 20;           // of a function
inline constexpr std::size_t kMaxModuleRegisters = std::size_t{1} << 22;     // a short text must not ask for much memory
inline constexpr std::size_t kMaxNesting = 64;                               // of braces and parentheses: the parser recurses
inline constexpr std::size_t kMaxElements = 256;                             // of {a, b, ...}

/// Alignment of offsets; `align` a power of two.
inline std::uint64_t align_up(std::uint64_t value, std::uint64_t align) { return (value + align - 1) & ~(align - 1); }

/// Fixes the offsets of shared variables once every function is known (layout.cpp).
void lay_out_shared(Module& module);

class Parser {
 public:
  explicit Parser(std::string_view text);
  Module run();

 private:
  struct Family {  // %r<10>
    std::size_t first = 0, count = 0;
  };
  struct Place {  // in the text, for a later message
    std::size_t at = 0;
    std::uint32_t line = 0;
  };
  struct PendingLabel {
    std::string name;
    Place place;
    bool in_table = false;  // branch_tables[index][element], else body[index].operands[element]
    std::size_t index = 0, element = 0;
  };
  struct Scope {
    NameMap<std::size_t> registers, variables, tables, prototypes;
    NameMap<Family> families;
    NameMap<std::uint32_t> labels;
    std::vector<PendingLabel> pending;
    std::uint64_t call_parameters = 0;  // bytes in use where the scope began
  };
  struct Linkage {
    bool is_extern = false, is_common = false;
  };
  struct Constant {
    Operand::Literal literal = Operand::Literal::integer;
    std::uint64_t bits = 0;
  };

  // Cursor.
  void advance();
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_at(Place place, const std::string& what) const;
  Place here() const { return {token_.at, token_.line}; }
  bool take(char sign);
  void expect(char sign);
  std::string expect_word(const char* what);
  std::uint64_t expect_integer(const char* what, std::uint64_t most);
  void skip_string_statement();

  // Module scope.
  void module_item();
  void version();
  void target();
  void address_size();
  void file();
  void section();
  void alias();
  void resolve_aliases();
  void module_variable(Space space, Linkage linkage);
  void add_module_variable(Variable variable);
  bool linkage_word(Linkage& linkage);

  // Variables.
  Variable variable_head(Space space);
  void variable_modifier(Variable& v, unsigned& vector, bool& type_seen);
  void pointer_attribute();
  void attribute(Variable& v);
  std::uint32_t alignment();
  Variable variable(Variable head, bool may_be_unsized);
  std::vector<std::uint64_t> dimensions(bool& unsized);
  void initialiser(Variable& v, const std::vector<std::uint64_t>& extents, std::size_t level, std::uint64_t at, std::size_t depth);
  void initial_value(Variable& v, std::uint64_t at);
  void initial_address(Variable& v, std::uint64_t at, std::uint8_t bytes, std::uint8_t shift);
  void store_initial(Variable& v, std::uint64_t at, Constant value);
  std::vector<Variable> parameter_list(Space space);
  std::uint64_t lay_out(std::vector<Variable>& variables);

  // Constant expressions.
  Constant constant();
  std::int64_t integer_constant();
  std::uint64_t expression(int least_precedence, std::size_t depth);
  std::uint64_t unary(std::size_t depth);

  // Functions.
  void function(bool is_entry, Linkage linkage);
  void function_directives(Function& f);
  void thread_counts(std::uint32_t* counts, std::uint64_t* product);
  void body();
  void finish_body();
  void statement();
  void declaration();
  void registers();
  void declare_register(const std::string& name, Type type);
  void declare_family(const std::string& prefix, std::uint64_t count, Type type);
  void function_variable(Space space);
  void location();
  std::uint32_t location_index(std::array<std::uint32_t, 3> where, std::int32_t inlined_at);
  void open_scope();
  void close_scope();
  void label(const std::string& name);
  void branch_targets(const std::string& name);
  void prototype(const std::string& name);
  void call_targets(const std::string& name);
  void resolve(const PendingLabel& pending, std::uint32_t pc);
  bool declared_here(std::string_view name) const;

  // Instructions.
  void instruction();
  void guard(Instruction& instruction);
  void operands(Instruction& instruction);
  void call_operands(Instruction& instruction);
  Operand call_list();
  Operand call_prototype();
  Operand operand(const Instruction& instruction);
  Operand simple_operand();
  Operand vector_operand();
  Operand memory_operand();
  Operand label_operand(std::size_t position);
  Operand table_operand();
  Operand named_operand();
  bool find_register(std::string_view name, Operand& out) const;
  bool find_symbol(std::string_view name, Operand& out) const;
  std::int64_t optional_offset();

  Lexer lexer_;
  std::string_view text_;
  Token token_, next_;
  Module module_;
  NameMap<std::size_t> functions_, variables_;
  NameMap<std::string> aliases_;
  std::size_t register_count_ = 0;
  bool has_version_ = false, has_target_ = false;

  // The function that is being parsed.
  Function* function_ = nullptr;
  std::vector<Scope> scopes_;
  std::uint64_t call_parameters_ = 0;
  std::uint32_t location_ = 0;
  std::map<std::array<std::uint32_t, 3>, std::uint32_t> latest_location_;  // file, line, column
  std::map<std::pair<std::array<std::uint32_t, 3>, std::int32_t>, std::uint32_t> known_locations_;
};

/// Whether `%name` is a special register of PTX (whether the machine has it is the decoder's question).
bool is_special_register(std::string_view name);

}  // namespace gradus::emulator::ptx
