// The Decoder that selectors talk to, and the table of selectors.
#include <gradus/kernels/emulator/exec/decoder.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <unordered_map>

#include <gradus/kernels/emulator/exec/frame_layout.h>
#include <gradus/kernels/emulator/exec/half_bits.h>
#include <gradus/kernels/emulator/exec/liveness.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/exec/specials.h>

namespace gradus::emulator {
namespace {

std::unordered_map<std::string, std::vector<Selector>>& selectors() {
  static std::unordered_map<std::string, std::vector<Selector>> table;
  return table;
}

const std::vector<Selector>* find_selectors(const std::string& mnemonic) {
  static const bool registered = [] {
    register_half();
    register_integer();
    register_float();
    register_convert();
    register_control();
    register_warp();
    register_barrier();
    register_memory();
    register_matrix();
    return true;
  }();
  (void)registered;
  const auto it = selectors().find(mnemonic);
  return it == selectors().end() ? nullptr : &it->second;
}

/// Why a mnemonic has no selector.
std::string reason_of(const std::string& mnemonic) {
  for (const char* texture : {"tex", "tld4", "txq", "suld", "sust", "sured", "suq", "istypep"}) {
    if (mnemonic == texture) return "textures and surfaces are outside this emulator";
  }
  if (mnemonic == "wgmma" || mnemonic == "tcgen05" || mnemonic == "setmaxnreg") return "warp-group instructions are outside this emulator";
  if (mnemonic == "mapa" || mnemonic == "getctarank") return "clusters are outside this emulator";
  return "no such instruction is known";
}

constexpr std::uint32_t kConstantAlign = 64;
constexpr std::uint64_t kParameterAlign = 16;

bool may_be_wider(const std::string& mnemonic) { return mnemonic == "ld" || mnemonic == "st" || mnemonic == "ldu" || mnemonic == "cvt"; }

class FunctionDecoder final : public Decoder {
 public:
  FunctionDecoder(const LoadedModule& loaded, const ptx::Function& f, Code& code) : loaded_(loaded), code_(code), frame_(lay_out_frame(f)) {
    module = &loaded.program();
    function = &f;
  }

  void run() {
    code_.function = function;
    lay_out_parameters();
    code_.instructions.reserve(function->body.size());
    for (const ptx::Instruction& i : function->body) decode(i);
    code_.register_bytes = static_cast<std::uint32_t>(ptx_align(frame_.bytes, kConstantAlign));
  }

  Ref source(const ptx::Operand& operand, ptx::Type type) override {
    using Kind = ptx::Operand::Kind;
    switch (operand.kind) {
      case Kind::reg: return register_place(operand, type);
      case Kind::immediate: return constant(immediate_bits(operand, type), lane_bytes(type));
      case Kind::special: return special(operand, type);
      case Kind::symbol: return constant(static_address(operand), lane_bytes(type));
      default: unsupported("operand `" + operand.name + "` cannot be read");
    }
  }
  Ref destination(const ptx::Operand& operand, ptx::Type type) override {
    if (operand.kind == ptx::Operand::Kind::sink) return scrap();
    if (operand.kind != ptx::Operand::Kind::reg) unsupported("the result must be a register");
    return register_place(operand, type);
  }
  Ref scrap() override {
    constexpr std::uint32_t kScrapBytes = 32 * kLanes;
    if (scrap_ == 0) scrap_ = reserve(kScrapBytes) + 1;
    return {scrap_ - 1, Ref::registers};
  }
  int register_bytes(const ptx::Operand& operand) override {
    if (operand.kind == ptx::Operand::Kind::reg) return lane_bytes(type_of(operand));
    if (operand.kind == ptx::Operand::Kind::special) return find_special(operand.name).bytes;
    unsupported("operand `" + operand.name + "` is not a register");
  }
  bool is_merely_selected(const ptx::Operand& operand) override {
    if (operand.kind != ptx::Operand::Kind::reg) return false;
    if (merely_selected_.empty()) merely_selected_ = merely_selected(*function);
    return merely_selected_.at(static_cast<std::size_t>(operand.index));
  }
  std::uint64_t address_of(const ptx::Operand& operand) override {
    const auto index = static_cast<std::size_t>(operand.symbol_index);
    const auto offset = static_cast<std::uint64_t>(operand.offset);
    switch (operand.symbol) {
      case ptx::Operand::Symbol::module_variable: {
        const ptx::Variable& v = module->variables[index];
        const bool dynamic = v.space == ptx::Space::shared && v.is_extern;
        const auto own = function->shared_places.find(operand.symbol_index);
        if (own != function->shared_places.end()) return offset + own->second;
        return offset + (dynamic ? function->dynamic_shared_offset : loaded_.address_of(index));
      }
      case ptx::Operand::Symbol::function_variable:
        if (function->variables[index].space == ptx::Space::param) return parameter_place(operand, 0).offset;
        return offset + function->variables[index].offset;
      case ptx::Operand::Symbol::parameter: return parameter_place(operand, 0).offset;
      case ptx::Operand::Symbol::function: return offset + loaded_.handle_of(module->functions[index].get());
      default: unsupported("`" + operand.name + "` has no address");
    }
  }
  ptx::Space space_of(const ptx::Operand& operand) override {
    const auto index = static_cast<std::size_t>(operand.symbol_index);
    switch (operand.symbol) {
      case ptx::Operand::Symbol::module_variable: return module->variables[index].space;
      case ptx::Operand::Symbol::function_variable: return function->variables[index].space;
      case ptx::Operand::Symbol::parameter: return ptx::Space::param;
      default: return ptx::Space::generic;
    }
  }
  ParameterPlace parameter_place(const ptx::Operand& operand, std::uint64_t bytes) override {
    using Area = ParameterPlace::Area;
    const auto index = static_cast<std::size_t>(operand.symbol_index);
    const auto place = [&](Area area, std::uint64_t start, std::uint64_t size) {
      const std::uint64_t at = start + static_cast<std::uint64_t>(operand.offset);
      if (at > size || bytes > size - at) unsupported("`" + operand.name + "` with this offset lies outside the parameters");
      return ParameterPlace{area, static_cast<std::uint32_t>(at)};
    };
    if (operand.symbol == ptx::Operand::Symbol::function_variable && function->variables[index].space == ptx::Space::param)
      return place(Area::call, function->variables[index].offset, code_.call_parameter_stride);
    if (operand.symbol != ptx::Operand::Symbol::parameter) unsupported("`" + operand.name + "` is not a parameter");
    const std::size_t parameters = function->parameters.size();
    if (function->is_entry) return place(Area::kernel, function->parameters[index].offset, function->parameter_bytes);
    if (index < parameters) return place(Area::activation, function->parameters[index].offset, code_.parameter_stride);
    return place(Area::activation, code_.returns_at + function->returns[index - parameters].offset, code_.parameter_stride);
  }
  const Code* code_of(const ptx::Function* callee) override { return loaded_.code_of(callee); }
  [[noreturn]] void unsupported(const std::string& why) override {
    throw Unsupported("ptx line " + std::to_string(instruction->text_line) + ": unsupported instruction `" + instruction->text +
                      "`: " + why);
  }

 protected:
  void own(void* p, void (*destroy)(void*)) override { code_.owned.emplace_back(p, destroy); }

 private:
  static std::uint64_t ptx_align(std::uint64_t value, std::uint64_t align) { return (value + align - 1) / align * align; }

  void lay_out_parameters() {
    if (!function->is_entry) {
      code_.returns_at = static_cast<std::uint32_t>(ptx_align(function->parameter_bytes, kParameterAlign));
      code_.parameter_stride = static_cast<std::uint32_t>(ptx_align(code_.returns_at + function->return_bytes, kParameterAlign));
    }
    code_.call_parameter_stride = static_cast<std::uint32_t>(ptx_align(function->call_parameter_bytes, kParameterAlign));
    if (code_.call_parameter_stride != 0) code_.call_parameters_at = reserve(code_.call_parameter_stride * kLanes);
  }

  std::uint32_t reserve(std::uint32_t bytes) {
    const auto at = static_cast<std::uint32_t>(ptx_align(frame_.bytes, kConstantAlign));
    frame_.bytes = at + bytes;
    return at;
  }

  void decode(const ptx::Instruction& i) {
    instruction = &i;
    const std::vector<Selector>* candidates = find_selectors(i.mnemonic);
    if (candidates == nullptr) unsupported(reason_of(i.mnemonic));
    Decoded d;
    d.location = i.location;
    d.source = &i;
    if (i.guard >= 0) d.guard = static_cast<std::int32_t>(frame_.offsets[static_cast<std::size_t>(i.guard)]);
    d.guard_negated = i.guard_negated;
    try {
      for (std::size_t s = 0; s < candidates->size() && d.run == nullptr; ++s) (*candidates)[s](*this, i, d);
    } catch (const std::out_of_range&) {  // selectors take operands and modifiers by at()
      unsupported("operands or modifiers are missing");
    }
    if (d.run == nullptr) unsupported("these types or modifiers are not known");
    code_.instructions.push_back(d);
  }

  ptx::Type type_of(const ptx::Operand& operand) const { return function->registers[static_cast<std::size_t>(operand.index)].type; }

  Ref register_place(const ptx::Operand& operand, ptx::Type type) {
    const ptx::Type declared = type_of(operand);
    const int have = lane_bytes(declared), want = lane_bytes(type);
    const bool fits = have == want || (have > want && want > 0 && may_be_wider(instruction->mnemonic));
    if (!fits || (type == ptx::Type::none) || (declared == ptx::Type::pred) != (type == ptx::Type::pred)) {
      unsupported("register `" + operand.name + "` of type ." + name_of(declared) + " where ." + name_of(type) + " is wanted");
    }
    return {frame_.offsets[static_cast<std::size_t>(operand.index)], Ref::registers};
  }

  Ref special(const ptx::Operand& operand, ptx::Type type) {
    const SpecialPlace place = find_special(operand.name, lane_bytes(type));
    if (place.offset < 0) unsupported("special register `" + operand.name + "` is not supported");
    if (place.bytes != lane_bytes(type)) unsupported("special register `" + operand.name + "` has another width");
    return {static_cast<std::uint32_t>(place.offset), Ref::specials};
  }

  /// An address that is the same in every activation.
  std::uint64_t static_address(const ptx::Operand& operand) {
    const ptx::Space space = space_of(operand);
    if (space == ptx::Space::local || space == ptx::Space::param) unsupported("the address of `" + operand.name + "` is not a constant");
    return address_of(operand);
  }

  std::uint64_t immediate_bits(const ptx::Operand& operand, ptx::Type type) {
    using Literal = ptx::Operand::Literal;
    if (type == ptx::Type::none) unsupported("a constant without a type");
    if (type == ptx::Type::pred) return operand.bits != 0 ? kAll : 0;
    if (operand.literal == Literal::integer) {
      if (type == ptx::Type::f32 || type == ptx::Type::f64)
        unsupported("an integer constant where ." + std::string(name_of(type)) + " is wanted");
      return operand.bits;
    }
    const bool is_single = operand.literal == Literal::f32;
    const double value = is_single ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(operand.bits)))
                                   : std::bit_cast<double>(operand.bits);
    switch (type) {
      case ptx::Type::f64: return std::bit_cast<std::uint64_t>(value);
      case ptx::Type::f32:
      case ptx::Type::tf32:
        return is_single ? operand.bits : std::bit_cast<std::uint32_t>(static_cast<float>(value));  // the bits, lest a NaN be quieted
      case ptx::Type::f16: return half_of(value);
      case ptx::Type::bf16: return bfloat_of(value);
      default: return operand.bits;  // an untyped move
    }
  }

  /// 32 equal lanes in the function's block of constants.
  Ref constant(std::uint64_t bits, int bytes) {
    const bool is_mask = bytes == 0;
    const std::uint64_t kept = is_mask || bytes >= 8 ? bits : bits & ((std::uint64_t{1} << (8 * bytes)) - 1);
    const auto [it, is_new] = constants_.emplace(std::make_pair(kept, bytes), static_cast<std::uint32_t>(code_.constants.size()));
    if (is_new) {
      const std::size_t at = code_.constants.size(), used = is_mask ? sizeof(Mask) : static_cast<std::size_t>(bytes) * kLanes;
      code_.constants.resize(at + ptx_align(used, kConstantAlign));
      if (is_mask) std::memcpy(code_.constants.data() + at, &kept, sizeof(Mask));
      for (std::size_t lane = 0; !is_mask && lane < kLanes; ++lane) {
        std::memcpy(code_.constants.data() + at + lane * static_cast<std::size_t>(bytes), &kept,
                    std::min(static_cast<std::size_t>(bytes), sizeof kept));
      }
    }
    return {it->second, Ref::constants};
  }

  const LoadedModule& loaded_;
  Code& code_;
  FrameLayout frame_;
  std::vector<bool> merely_selected_;
  std::uint32_t scrap_ = 0;  // offset + 1; 0: none yet
  std::map<std::pair<std::uint64_t, int>, std::uint32_t> constants_;
};

}  // namespace

void add_selector(const char* mnemonic, Selector selector) { selectors()[mnemonic].push_back(selector); }

void decode(const LoadedModule& module, const ptx::Function& function, Code& code) { FunctionDecoder(module, function, code).run(); }

}  // namespace gradus::emulator
