// A parsed PTX module: what the text says, names resolved, nothing executed. See ptx/parser.h for how it is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::emulator::ptx {

/// PTX's fundamental types (ISA 9.0, section 5.2), packed ones included.
enum class Type : std::uint8_t {
  none,
  pred,
  b8,
  b16,
  b32,
  b64,
  b128,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  f16x2,
  bf16,
  bf16x2,
  tf32,
  f32,
  f32x2,
  f64,
  u16x2,
  s16x2,
  e4m3,
  e5m2,
  e4m3x2,
  e5m2x2,
  s4,
  u4,
  b1  // of mma shapes
};
/// Bytes of one value; 4 for pred (one mask of 32 lanes is kept instead), 0 for none.
int bytes_of(Type type);
/// "f32"; and back (none if there is no such type).
const char* name_of(Type type);
Type type_of(std::string_view name);
/// s8 to s64; these and u8 to u64; f16, bf16, f32, f64. Neither packed types nor bits (b32) are any of them.
bool is_signed(Type type);
bool is_integer(Type type);
bool is_floating(Type type);

enum class Space : std::uint8_t { generic, reg, param, global, shared, local, constant };

/// Where an instruction comes from. `file` 0: no `.loc` yet. An inlined one points to the call that brought it in.
struct Location {
  std::uint32_t file = 0, line = 0;
  std::int32_t inlined_at = -1;  // index into Module::locations, or -1
};

/// One operand.
struct Operand {
  enum class Kind : std::uint8_t {
    none,
    reg,        // index: into Function::registers; `negated` for !p
    immediate,  // bits: the value in 64 bits (f32 constants as f32 bits, f64 as f64 bits; integers sign-extended); literal tells which
    special,    // name: "%tid.x", "%laneid", "WARP_SZ", ...
    symbol,     // the address of a variable or function: index into Module::variables / functions, or Function::variables; + offset
    memory,     // [base + offset]: base is a register (index >= 0), a symbol, or none (absolute address in `offset`)
    label,      // index: target pc
    vector,     // {a, b, ...}: elements
    pair,       // p|q of setp, shfl, match: elements[0], elements[1]
    sink        // _
  };
  enum class Literal : std::uint8_t { integer, f32, f64 };
  enum class Symbol : std::uint8_t { none, module_variable, function_variable, parameter, function, prototype };
  Kind kind = Kind::none;
  Literal literal = Literal::integer;
  Symbol symbol = Symbol::none;
  bool negated = false;            // !p, or a leading minus on a register (not used by nvcc)
  std::int32_t index = -1;         // register; label's pc; of a brx.idx target list: index into Function::branch_tables
  std::int32_t symbol_index = -1;  // of a parameter: into Function::parameters, then Function::returns
  std::int64_t offset = 0;
  std::uint64_t bits = 0;
  std::string name;  // as written, for messages
  std::vector<Operand> elements;
};

/// One instruction: `@p mnemonic.modifier.modifier operands;`
struct Instruction {
  std::string mnemonic;                // "ld", "mad", "wmma"
  std::vector<std::string> modifiers;  // without dots, in order: {"global", "nc", "v4", "f32"}
  std::int32_t guard = -1;             // predicate register, or -1
  bool guard_negated = false;
  std::vector<Operand> operands;  // in order of the text; of `call`: {returns as vector, callee, arguments as vector[, prototype]}
  std::uint32_t location = 0;     // index into Module::locations
  std::uint32_t text_line = 0;    // line of the PTX text, 1 = first
  std::string text;               // as written, for messages

  bool has(std::string_view modifier) const;
  /// The last modifier that names a type, and the one before it (cvt's source is the last).
  Type type() const;
  Type type(int from_end) const;
};

/// A register of a function; `%r<10>` declares ten.
struct Register {
  std::string name;
  Type type = Type::b32;
};

/// A variable in a state space, or a parameter.
struct Variable {
  std::string name;
  Space space = Space::global;
  Type type = Type::b8;
  std::uint32_t align = 1;
  std::uint64_t bytes = 0;            // 0: unsized (extern shared)
  std::vector<std::uint8_t> initial;  // the first bytes (at most `bytes`); the rest is zero
  struct Address {                    // `bytes` bytes at `at` are (address of symbol + addend) >> shift
    std::uint64_t at = 0;
    std::string symbol;
    std::int64_t addend = 0;
    bool generic = false;
    std::uint8_t bytes = 8, shift = 0;
  };
  std::vector<Address> addresses;  // pointers in the initialiser, to be filled in at load
  bool is_extern = false, is_common = false;
  bool is_managed = false;  // .attribute(.managed): lives in managed memory
  // Laid out by the parser for shared, local, param: the byte offset in the function's area. Dynamic (extern) shared begins after the
  // static part.
  std::uint64_t offset = 0;
};

/// An entry (kernel) or a device function.
struct Function {
  std::string name;
  bool is_entry = false, has_body = false;
  std::vector<Variable> parameters, returns;  // with offsets in the parameter block
  std::uint64_t parameter_bytes = 0, return_bytes = 0;
  std::vector<Register> registers;
  std::vector<Variable> variables;  // .local, .shared (static, `demoted`), .param of call sequences; names made unique by scope
  std::uint64_t local_bytes = 0, call_parameter_bytes = 0;
  std::uint64_t shared_bytes = 0;                       // of an entry: all static shared memory that it and its callees use
  std::map<std::int32_t, std::uint64_t> shared_places;  // of an entry: where it keeps the module's shared variables that only entries name
  std::uint64_t dynamic_shared_offset = 0;              // where extern shared memory begins, >= shared_bytes (see layout.cpp)
  bool uses_reserved_shared = false;                    // of an entry: it or a callee reads %reserved_smem_offset_*
  std::uint32_t shared_align = 1, local_align = 1;
  std::vector<Instruction> body;
  std::map<std::string, std::uint32_t> labels;            // name -> pc
  std::vector<std::vector<std::uint32_t>> branch_tables;  // of .branchtargets, by Operand::index of a brx.idx label list
  std::uint32_t max_threads = 0;                          // .maxntid, product; 0: none
  std::uint32_t required_threads[3] = {0, 0, 0};          // .reqntid
  std::uint32_t min_blocks = 0;
  std::uint32_t cluster[3] = {0, 0, 0};  // .reqnctapercluster
  bool needs_cluster = false;            // .explicitcluster or .reqnctapercluster: cannot be launched here
};

/// A signature for indirect calls.
struct Prototype {
  std::string name;
  std::vector<Variable> returns, parameters;
};

struct Module {
  int version_major = 0, version_minor = 0;
  std::string target;               // "sm_80"
  int architecture = 0;             // 80
  std::vector<Variable> variables;  // module scope: global, const, shared (shared: offsets laid out too)
  std::uint64_t shared_bytes = 0;   // module-scope static shared
  std::uint32_t shared_align = 1;
  std::vector<std::unique_ptr<Function>> functions;
  std::vector<Prototype> prototypes;
  std::vector<std::string> files;   // by .file number; [0] empty
  std::vector<Location> locations;  // [0]: unknown

  const Function* find_function(std::string_view name) const;
  const Variable* find_variable(std::string_view name) const;
};

/// Every variant "mnemonic.modifiers" that the module uses, sorted: the list that the per-opcode tests are compared with.
std::vector<std::string> opcodes_of(const Module& module);

}  // namespace gradus::emulator::ptx
