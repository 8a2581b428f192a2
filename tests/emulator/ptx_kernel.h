// One instruction (or a few) run through the real path: PTX text -> load -> run on one warp, with a value per lane going in and out.
//
//   const auto d = run_lines("add.f16 %d0, %a0, %a1;", {"b16"}, {{"b16", a}, {"b16", b}});
//   CHECK(d[0][lane] == half_bits);
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/ptx/parser.h>

namespace emulator_test {

using Lanes = std::array<std::uint64_t, 32>;  // raw bits, low bytes first; a predicate is 0 or 1

/// An input register %a0, %a1, ... of a PTX register type: "pred", "b16", "f32", "b64", ...
struct Input {
  std::string type;
  Lanes values;
};

template <class F> Lanes lanes(F f) {
  Lanes l{};
  for (std::size_t i = 0; i < l.size(); ++i) l[i] = static_cast<std::uint64_t>(f(i));
  return l;
}
inline std::uint64_t bits_of(float v) { return std::bit_cast<std::uint32_t>(v); }
inline std::uint64_t bits_of(double v) { return std::bit_cast<std::uint64_t>(v); }

/// Device memory for the length of a test.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::uint64_t bytes) : bytes_(bytes) {
    address_ = memory().allocate(bytes, gradus::emulator::AllocationKind::device, "test buffer");
  }
  ~DeviceBuffer() { memory().free(address_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  std::uint64_t address() const { return address_; }
  std::byte* bytes() const { return memory().at(address_); }
  void define() const { memory().define(address_, bytes_); }

 private:
  static gradus::emulator::DeviceMemory& memory() { return gradus::emulator::DeviceMemory::instance(); }
  std::uint64_t address_ = 0, bytes_ = 0;
};

/// The opcodes that tests have run, written to the file that GRADUS_TESTED_OPCODES names when the program ends: opcode_coverage.cpp
/// compares them with those of the kernels.
class TestedOpcodes {
 public:
  static TestedOpcodes& instance() {
    static TestedOpcodes opcodes;
    return opcodes;
  }
  /// Every opcode that stands more often in the module than in the text around the test.
  void note(const gradus::emulator::ptx::Module& module, const std::string& scaffold) {
    if (file_ == nullptr) return;
    std::map<std::string, int> count;
    for (const std::string& opcode : all_of(module)) ++count[opcode];
    if (!scaffold.empty()) {
      for (const std::string& opcode : all_of(gradus::emulator::ptx::parse(scaffold))) --count[opcode];
    }
    for (const auto& [opcode, n] : count) {
      if (n > 0) seen_.insert(opcode);
    }
  }
  ~TestedOpcodes() {
    if (file_ == nullptr) return;
    std::ofstream out(file_);
    for (const std::string& opcode : seen_) out << opcode << '\n';
  }
  TestedOpcodes(const TestedOpcodes&) = delete;
  TestedOpcodes& operator=(const TestedOpcodes&) = delete;

 private:
  TestedOpcodes() = default;
  static std::vector<std::string> all_of(const gradus::emulator::ptx::Module& module) {
    std::vector<std::string> opcodes;
    for (const auto& function : module.functions) {
      for (const gradus::emulator::ptx::Instruction& i : function->body) {
        opcodes.push_back(i.mnemonic);
        for (const std::string& m : i.modifiers) opcodes.back() += "." + m;
      }
    }
    return opcodes;
  }

  const char* file_ = std::getenv("GRADUS_TESTED_OPCODES");
  std::set<std::string> seen_;
};

/// Loads the text and runs its kernel `name`; a launch error is thrown as std::runtime_error. What belongs to no test is in `scaffold`, a
/// text too.
inline void run_text(const std::string& ptx, const char* name, const gradus::emulator::LaunchConfig& config,
                     const std::vector<std::uint64_t>& parameters, const std::string& scaffold = "") {
  const auto module = gradus::emulator::load(ptx);
  gradus::emulator::Kernel kernel;
  kernel.module = module.get();
  kernel.function = gradus::emulator::program_of(*module).find_function(name);
  if (kernel.function == nullptr) throw std::runtime_error("no kernel of that name");
  std::string error;
  const int code = gradus::emulator::run(kernel, config, reinterpret_cast<const std::byte*>(parameters.data()), &error);
  if (code != 0) throw std::runtime_error("launch failed with " + std::to_string(code) + ": " + error);
  TestedOpcodes::instance().note(gradus::emulator::program_of(*module), scaffold);
}

/// The text of a kernel that loads %a0 ..., runs `lines` and stores %d0 ...
inline std::string kernel_of(const std::string& lines, const std::vector<std::string>& results, const std::vector<Input>& inputs,
                             const std::string& declarations) {
  std::string head, load, store;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string n = std::to_string(i), at = "[%in+" + std::to_string(i * 32 * 16) + "];\n";
    const std::string& type = inputs[i].type;
    head += ".reg ." + type + " %a" + n + ";\n";
    if (type == "pred") {
      load += "ld.global.b32 %bool, " + at + "setp.ne.u32 %a" + n + ", %bool, 0;\n";
    } else {
      load += "ld.global." + type + " %a" + n + ", " + at;
    }
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string n = std::to_string(i), at = "[%out+" + std::to_string(i * 32 * 16) + "]";
    head += ".reg ." + results[i] + " %d" + n + ";\n";
    if (results[i] == "pred") {
      store += "selp.u32 %bool, 1, 0, %d" + n + ";\nst.global.b32 " + at + ", %bool;\n";
    } else {
      store += "st.global." + results[i] + " " + at + ", %d" + n + ";\n";
    }
  }
  return ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry test(.param .u64 in, .param .u64 out) {\n"
         ".reg .b64 %in, %out, %offset;\n.reg .b32 %lane, %bool;\n" +
         head + declarations + "\n" +
         "mov.u32 %lane, %tid.x;\nmul.wide.u32 %offset, %lane, 16;\n"
         "ld.param.u64 %in, [in];\nadd.u64 %in, %in, %offset;\nld.param.u64 %out, [out];\nadd.u64 %out, %out, %offset;\n" +
         load + lines + "\n" + store + "ret;\n}\n";
}

/// Runs `lines` on 32 lanes. Registers: %a0 ... the inputs, %d0 ... the results, %lane the lane's number; more in `declarations`.
inline std::vector<Lanes> run_lines(const std::string& lines, const std::vector<std::string>& results, const std::vector<Input>& inputs,
                                    const std::string& declarations = "") {
  const DeviceBuffer in((inputs.size() + 1) * 32 * 16), out((results.size() + 1) * 32 * 16);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (std::size_t l = 0; l < 32; ++l) std::memcpy(in.bytes() + (i * 32 + l) * 16, &inputs[i].values[l], 8);
  }
  in.define();
  std::memset(out.bytes(), 0, (results.size() + 1) * 32 * 16);
  gradus::emulator::LaunchConfig config;
  config.block[0] = 32;
  run_text(kernel_of(lines, results, inputs, declarations), "test", config, {in.address(), out.address()},
           kernel_of("", results, inputs, declarations));
  std::vector<Lanes> values(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    for (std::size_t l = 0; l < 32; ++l) std::memcpy(&values[i][l], out.bytes() + (i * 32 + l) * 16, 8);
  }
  return values;
}

}  // namespace emulator_test
