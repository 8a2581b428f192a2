// PTX text -> Module. Nothing is skipped: what the parser does not know is an error that names the line and quotes it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator::ptx {

/// "ptx line 12: unknown directive `.foo`: `.foo bar;`"
class ParseError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Parses one module. Throws ParseError; never crashes, whatever the text (it is fuzzed). Checks names, label targets, operand shapes and
/// sizes (limits: 2^20 registers a function, 2^31 bytes a variable), not whether an opcode exists: the decoder does that (exec/decoder.h).
Module parse(std::string_view text);

/// The PTX texts inside a fat binary as nvcc registers it (struct with magic 0x466243b1, then `fatBinary` magic 0xba55ed50), with the
/// architecture each was made for. Uncompressed entries only: a compressed one is a ParseError that says to compile with --no-compress.
struct PtxImage {
  int architecture = 0;
  std::string_view text;
};
std::vector<PtxImage> images_of(const void* fat_binary);

}  // namespace gradus::emulator::ptx
