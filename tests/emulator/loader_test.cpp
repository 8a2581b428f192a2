// Loading: PTX that parses but cannot run is an error that says why, and nothing of it reaches the machine.
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>

using namespace gradus::emulator;

namespace {

const std::string kHead = ".version 8.0\n.target sm_80\n.address_size 64\n";

/// Of a kernel with a parameter `p` of eight bytes, some registers, and this body.
std::string kernel(const std::string& body, const std::string& before = "") {
  return kHead + before + ".visible .entry k(.param .u64 p)\n{\n.reg .pred %p<4>;\n.reg .b32 %r<6>;\n.reg .b64 %rd<6>;\n" + body +
         "\nret;\n}\n";
}

/// What loading says; "" if it succeeds.
std::string error_of(const std::string& ptx) {
  try {
    load(ptx);
  } catch (const std::runtime_error& e) { return e.what(); }
  return "";
}

void check_error(const std::string& ptx, const std::string& part) {
  const std::string text = error_of(ptx);
  INFO(ptx << "\n" << text);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("loader: parameters are not reached outside their memory") {
  CHECK(error_of(kernel("ld.param.u64 %rd1, [p];")) == "");
  CHECK(error_of(kernel("ld.param.u32 %r1, [p+4];")) == "");
  for (const char* offset : {"+8", "+4", "-8", "+9223372036854775807", "+-1"}) {
    check_error(kernel(std::string("ld.param.u64 %rd1, [p") + offset + "];"), "outside the parameters");
  }
  CHECK(error_of(kernel("{\n.param .b32 a;\nst.param.b32 [a], %r1;\n}")) == "");
  check_error(kernel("{\n.param .b32 a;\nst.param.b32 [a+128], %r1;\n}"), "outside the parameters");
  check_error(kHead + ".func f(.param .align 8 .b8 s[2147483648])\n{\nret;\n}\n", "more than 2^20 bytes of parameters");
  check_error(kHead + ".visible .entry k(.param .align 8 .b8 s[1048577])\n{\nret;\n}\n", "more than 2^20 bytes of parameters");
}

TEST_CASE("loader: operands that are missing or of the wrong kind") {
  check_error(kernel("bra;"), "a branch has one target");
  check_error(kernel("bra %r1;"), "unknown label");
  check_error(kernel("bra nowhere;"), "unknown label");
  check_error(kernel("wmma [%r1], %r0;"), "unsupported instruction");
  check_error(kernel("mov.b64 %rd1, {};"), "parts");
  check_error(kernel("mov.b64 %rd1, {%r1, %r2, %r3};"), "parts");
  check_error(kernel("add.s32 %r1, %r9, 1;"), "%r9");
  check_error(kernel("add.s32 1, %r1, %r2;"), "must be a register");
}

TEST_CASE("loader: functions of the device's runtime get the values that they read") {
  const std::string whole = ".extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n";
  CHECK(error_of(kernel("{\n.param .b64 a;\n.param .b64 b;\n.param .b32 r;\ncall.uni (r), vprintf, (a, b);\n}", whole)) == "");
  check_error(kernel("{\n.param .b64 a;\n.param .b32 r;\ncall.uni (r), vprintf, (a);\n}", whole), "other values than it has");
  check_error(kernel("{\n.param .b64 a;\n.param .b32 b;\n.param .b32 r;\ncall.uni (r), vprintf, (a, b);\n}", whole),
              "other values than it has");
  check_error(kernel("call.uni vprintf, ();", ".extern .func vprintf();\n"), "other values than it has");
}

TEST_CASE("loader: sizes") {
  check_error(kernel("ld.global.u32 %r1, [t];", ".global .align 4 .b8 t[8589934592];\n"), "out of range");
  std::string many;
  for (int i = 0; i < 9; ++i) many += ".global .align 4 .b8 t" + std::to_string(i) + "[2147483648];\n";
  const std::uint64_t used = DeviceMemory::instance().used();
  check_error(kernel("", many), "no device memory");
  CHECK(DeviceMemory::instance().used() == used);                                                     // what had its place is given back
  CHECK(error_of(kernel("ld.shared.u32 %r1, [t];", ".shared .align 4 .b8 t[2147483648];\n")) == "");  // a launch refuses it
  std::string body;
  for (int i = 0; i < 20000; ++i) body += "@%p1 bra L;\n";
  check_error(kernel(".reg .b32 %q<1000000>;\n" + body + "L:\n"), "too large");
}
