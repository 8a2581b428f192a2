// ld and st of every space, type and vector against bytes: what is stored by a vector is read as two words of 64 bits, and the other way.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "ptx_kernel.h"

using namespace emulator_test;

namespace {

struct Form {
  std::string type;
  int bytes, elements;
  std::string registers() const { return type[0] == 'f' ? type : "b" + std::to_string(bytes < 2 ? 16 : 8 * bytes); }
  std::string modifiers() const { return (elements == 1 ? "" : ".v" + std::to_string(elements)) + "." + type; }
  /// "{%d0, %d1}"; "%d0".
  std::string list(const std::string& name, int first = 0) const {
    std::string text;
    for (int e = 0; e < elements; ++e) text += (e ? ", " : "") + name + std::to_string(first + e);
    return elements == 1 ? text : "{" + text + "}";
  }
  /// The register after a load of these bytes.
  std::uint64_t extended(std::uint64_t value) const {
    const int width = bytes < 2 ? 16 : 8 * bytes;
    if (type[0] == 's') value = static_cast<std::uint64_t>(static_cast<std::int64_t>(value << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    return width == 64 ? value : value & ((std::uint64_t{1} << width) - 1);
  }
};

std::vector<Form> forms() {
  std::vector<Form> all;
  for (const char* type : {"u8", "s8", "b8", "u16", "s16", "b16", "u32", "s32", "b32", "f32", "u64", "s64", "b64", "f64"}) {
    const int bytes = std::stoi(std::string(type).substr(1)) / 8;
    for (const int elements : {1, 2, 4}) {
      if (bytes * elements <= 16) all.push_back({type, bytes, elements});
    }
  }
  return all;
}

using Slot = std::array<unsigned char, 16>;
Slot slot_of(std::size_t lane) {
  Slot slot{};
  for (std::size_t i = 0; i < slot.size(); ++i) slot[i] = static_cast<unsigned char>(37 * lane + 29 * i + 0x71);
  return slot;
}
std::uint64_t word(const Slot& slot, std::size_t offset, std::size_t bytes) {
  std::uint64_t v = 0;
  std::memcpy(&v, slot.data() + offset, bytes);
  return v;
}

/// A space: `address` leaves the lane's 16 bytes in %g.
struct Space {
  std::string suffix, address, declarations;
};
std::vector<Space> spaces() {
  const std::string regs = ".reg .b64 %g, %o; ";
  return {
      {".global", "mov.u64 %g, %a0;\n", regs},
      {"", "mov.u64 %g, %a0;\n", regs},
      {".shared", "mov.u64 %g, memory;\nmul.wide.u32 %o, %lane, 16;\nadd.u64 %g, %g, %o;\n", regs + ".shared .align 16 .b8 memory[512];"},
      {".local", "mov.u64 %g, memory;\n", regs + ".local .align 16 .b8 memory[16];"}};
}

Input pointers_to(const DeviceBuffer& buffer) {
  return {"b64", lanes([&](std::size_t l) { return buffer.address() + 16 * l; })};
}
Input words(std::size_t offset) {
  return {"b64", lanes([=](std::size_t l) { return word(slot_of(l), offset, 8); })};
}

void check_store(const Space& space, const Form& form) {
  const DeviceBuffer buffer(512);
  std::vector<Input> inputs = {pointers_to(buffer), words(0), words(8)};
  for (int e = 0; e < form.elements; ++e)
    inputs.push_back({form.registers(), lanes([=](std::size_t l) {
                        return 0x0123456789ABCDEFu * (l + 1) + 0x1111111111111111u * static_cast<unsigned>(e);
                      })});
  const std::string st = "st" + space.suffix, ld = "ld" + space.suffix;
  const auto d = run_lines(space.address + st + ".b64 [%g], %a1;\n" + st + ".b64 [%g+8], %a2;\n" + st + form.modifiers() + " [%g], " +
                               form.list("%a", 3) + ";\n" + ld + ".b64 %d0, [%g];\n" + ld + ".b64 %d1, [%g+8];",
                           {"b64", "b64"}, inputs, space.declarations);
  for (std::size_t l = 0; l < 32; ++l) {
    Slot slot = slot_of(l);
    for (int e = 0; e < form.elements; ++e)
      std::memcpy(slot.data() + e * form.bytes, &inputs[3 + static_cast<std::size_t>(e)].values[l], static_cast<std::size_t>(form.bytes));
    INFO(st << form.modifiers() << ", lane " << l);
    CHECK(d[0][l] == word(slot, 0, 8));
    CHECK(d[1][l] == word(slot, 8, 8));
  }
}

void check_load(const Space& space, const Form& form, const std::string& hint = "") {
  const DeviceBuffer buffer(512);
  for (std::size_t l = 0; l < 32; ++l) {
    const Slot slot = slot_of(l);
    std::memcpy(buffer.bytes() + 16 * l, slot.data(), 16);
  }
  buffer.define();
  const std::string ld = "ld" + space.suffix + hint + form.modifiers(), st = "st" + space.suffix;
  const std::string fill = hint.empty() ? st + ".b64 [%g], %a1;\n" + st + ".b64 [%g+8], %a2;\n" : "";  // .nc: nothing may write there
  const std::vector<std::string> results(static_cast<std::size_t>(form.elements), form.registers());
  const auto d = run_lines(space.address + fill + ld + " " + form.list("%d") + ", [%g];", results,
                           {pointers_to(buffer), words(0), words(8)}, space.declarations);
  const auto bytes = static_cast<std::size_t>(form.bytes);
  for (std::size_t e = 0; e < results.size(); ++e) {
    for (std::size_t l = 0; l < 32; ++l) {
      INFO(ld << ", element " << e << ", lane " << l);
      CHECK(d[e][l] == form.extended(word(slot_of(l), e * bytes, bytes)));
    }
  }
}

constexpr const char* kHead = ".version 9.0\n.target sm_90\n.address_size 64\n";

std::string stores_of(const Form& form, const std::string& name) {
  std::string text;  // each element in 8 bytes
  const std::string reg = form.registers(), type = reg[0] == 'f' ? reg : "u" + reg.substr(1);
  for (int e = 0; e < form.elements; ++e)
    text += "st.global." + type + " [%out+" + std::to_string(8 * e) + "], " + name + std::to_string(e) + ";\n";
  return text;
}

void check_elements(const DeviceBuffer& out, const Form& form, std::size_t offset, const std::string& what) {
  const auto bytes = static_cast<std::size_t>(form.bytes);
  for (int e = 0; e < form.elements; ++e) {
    std::uint64_t got = 0;
    std::memcpy(&got, out.bytes() + 8 * e, 8);
    INFO(what << form.modifiers() << ", element " << e);
    CHECK(got == form.extended(word(slot_of(3), offset + static_cast<std::size_t>(e) * bytes, bytes)));
  }
}

/// The 16 bytes of slot 3 go to the kernel, and on through a function's parameter and its result.
void check_parameters(const Form& form) {
  const std::string reg = ".reg ." + form.registers() + " %x<4>;\n", array = ".param .align 16 .b8 ",
                    out = ".reg .b64 %out;\nld.param.u64 %out, [out];\n";
  const std::string ld = "ld.param" + form.modifiers() + " " + form.list("%x") + ", ", st = "st.param" + form.modifiers();
  const std::string direct = std::string(kHead) + ".visible .entry test(.param .u64 out, " + array + "given[16]) {\n" + reg + out + ld +
                             "[given];\n" + stores_of(form, "%x") + "ret;\n}\n";
  const std::string called =
      std::string(kHead) + ".func (" + array + "func_retval0[16]) pass(" + array + "pass_param_0[16]) {\n" + reg + ld +
      "[pass_param_0];\n" + st + " [func_retval0+0], " + form.list("%x") + ";\nret;\n}\n.visible .entry test(.param .u64 out, " + array +
      "given[16]) {\n" + reg + out + ld + "[given];\n{ " + array + "param0[16];\n" + st + " [param0+0], " + form.list("%x") + ";\n" +
      array + "retval0[16];\ncall.uni (retval0), pass, (param0);\n" + ld + "[retval0+0];\n}\n" + stores_of(form, "%x") + "ret;\n}\n";
  const Slot slot = slot_of(3);
  for (const std::string& text : {direct, called}) {
    const DeviceBuffer buffer(64);
    std::memset(buffer.bytes(), 0, 64);
    run_text(text, "test", {}, {buffer.address(), 0, word(slot, 0, 8), word(slot, 8, 8)});
    check_elements(buffer, form, 0, "param");
  }
}

}  // namespace

TEST_CASE("opcodes: st of every space, type and vector") {
  for (const Space& space : spaces()) {
    for (const Form& form : forms()) check_store(space, form);
  }
}

TEST_CASE("opcodes: ld of every space, type and vector") {
  for (const Space& space : spaces()) {
    for (const Form& form : forms()) check_load(space, form);
  }
  for (const Form& form : forms()) check_load(spaces()[0], form, ".nc");
}

TEST_CASE("opcodes: parameters of kernels and functions, of every type and vector") {
  for (const Form& form : forms()) check_parameters(form);
}
