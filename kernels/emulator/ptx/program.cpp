#include <gradus/kernels/emulator/ptx/program.h>

#include <array>
#include <set>

namespace gradus::emulator::ptx {
namespace {

struct TypeRow {
  Type type;
  const char* name;
  int bytes;
};
// In the order of the enum.
constexpr std::array kTypes = {TypeRow{Type::none, "", 0},         TypeRow{Type::pred, "pred", 4},     TypeRow{Type::b8, "b8", 1},
                               TypeRow{Type::b16, "b16", 2},       TypeRow{Type::b32, "b32", 4},       TypeRow{Type::b64, "b64", 8},
                               TypeRow{Type::b128, "b128", 16},    TypeRow{Type::u8, "u8", 1},         TypeRow{Type::u16, "u16", 2},
                               TypeRow{Type::u32, "u32", 4},       TypeRow{Type::u64, "u64", 8},       TypeRow{Type::s8, "s8", 1},
                               TypeRow{Type::s16, "s16", 2},       TypeRow{Type::s32, "s32", 4},       TypeRow{Type::s64, "s64", 8},
                               TypeRow{Type::f16, "f16", 2},       TypeRow{Type::f16x2, "f16x2", 4},   TypeRow{Type::bf16, "bf16", 2},
                               TypeRow{Type::bf16x2, "bf16x2", 4}, TypeRow{Type::tf32, "tf32", 4},     TypeRow{Type::f32, "f32", 4},
                               TypeRow{Type::f32x2, "f32x2", 8},   TypeRow{Type::f64, "f64", 8},       TypeRow{Type::u16x2, "u16x2", 4},
                               TypeRow{Type::s16x2, "s16x2", 4},   TypeRow{Type::e4m3, "e4m3", 1},     TypeRow{Type::e5m2, "e5m2", 1},
                               TypeRow{Type::e4m3x2, "e4m3x2", 2}, TypeRow{Type::e5m2x2, "e5m2x2", 2}, TypeRow{Type::s4, "s4", 1},
                               TypeRow{Type::u4, "u4", 1},         TypeRow{Type::b1, "b1", 1}};

}  // namespace

int bytes_of(Type type) { return kTypes[static_cast<std::size_t>(type)].bytes; }

const char* name_of(Type type) { return kTypes[static_cast<std::size_t>(type)].name; }

Type type_of(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.type != Type::none && name == row.name) return row.type;
  }
  return Type::none;
}

bool is_signed(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64; }
bool is_integer(Type t) { return is_signed(t) || t == Type::u8 || t == Type::u16 || t == Type::u32 || t == Type::u64; }
bool is_floating(Type t) { return t == Type::f16 || t == Type::bf16 || t == Type::f32 || t == Type::f64; }

bool Instruction::has(std::string_view modifier) const {
  for (const std::string& m : modifiers) {
    if (m == modifier) return true;
  }
  return false;
}

Type Instruction::type() const { return type(0); }

Type Instruction::type(int from_end) const {
  for (std::size_t i = modifiers.size(); i-- > 0;) {
    const Type t = type_of(modifiers[i]);
    if (t != Type::none && from_end-- == 0) return t;
  }
  return Type::none;
}

const Function* Module::find_function(std::string_view name) const {
  for (const auto& f : functions) {
    if (f->name == name) return f.get();
  }
  return nullptr;
}

const Variable* Module::find_variable(std::string_view name) const {
  for (const Variable& v : variables) {
    if (v.name == name) return &v;
  }
  return nullptr;
}

std::vector<std::string> opcodes_of(const Module& module) {
  std::set<std::string> seen;
  for (const auto& f : module.functions) {
    for (const Instruction& i : f->body) {
      std::string opcode = i.mnemonic;
      for (const std::string& m : i.modifiers) opcode += "." + m;
      seen.insert(std::move(opcode));
    }
  }
  return {seen.begin(), seen.end()};
}

}  // namespace gradus::emulator::ptx
