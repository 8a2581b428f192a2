// From a parsed instruction to a handler. Each family of opcodes registers selectors by mnemonic; a selector looks at modifiers and types
// and fills in a Decoded, or throws Unsupported.
#pragma once

#include <stdexcept>
#include <string>

#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

/// "ptx line 31: unsupported instruction `tex.2d...`: textures are outside this emulator": an error at load.
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a selector may ask of the function that is being decoded.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// The lanes of a source operand read as `type` (immediates are broadcast; a register must have that width, or be wider where PTX
  /// allows).
  virtual Ref source(const ptx::Operand& operand, ptx::Type type) = 0;
  virtual Ref destination(const ptx::Operand& operand, ptx::Type type) = 0;
  /// A place to throw a result away (`_`), of 32-byte lanes; also a handler's scratch memory.
  virtual Ref scrap() = 0;
  /// Declared width of a register operand in bytes (ld.u8 into a .b32 register must write 4), 0 for a predicate.
  virtual int register_bytes(const ptx::Operand& operand) = 0;
  /// See merely_selected in liveness.h.
  virtual bool is_merely_selected(const ptx::Operand& operand) = 0;
  /// Address of a symbol: global and const variables as 64-bit device addresses, shared and local as offsets in their window, parameters as
  /// offsets in the parameter block, functions as handles.
  virtual std::uint64_t address_of(const ptx::Operand& operand) = 0;
  /// Where a .param variable lies; see Code.
  struct ParameterPlace {
    enum class Area : std::uint8_t {
      kernel,      // frame->parameters + offset
      activation,  // frame->parameters + lane * code->parameter_stride + offset (parameters and returns of a device function)
      call         // frame->registers + code->call_parameters_at + lane * code->call_parameter_stride + offset
    } area = Area::kernel;
    std::uint32_t offset = 0;
  };
  /// `bytes` from there on lie within the area, or it is unsupported: nothing looks again when the instruction runs.
  virtual ParameterPlace parameter_place(const ptx::Operand& operand, std::uint64_t bytes) = 0;
  /// The code that a direct call's callee will have (it may not be decoded yet), also of functions without a body.
  virtual const Code* code_of(const ptx::Function* callee) = 0;
  /// Space that a symbol lives in.
  virtual ptx::Space space_of(const ptx::Operand& operand) = 0;
  /// Memory owned by the Code, for Decoded::extra; T must be trivially destructible or is kept alive until the Code dies.
  template <class T> T* keep(T value) {
    auto* p = new T(static_cast<T&&>(value));
    own(p, [](void* q) { delete static_cast<T*>(q); });
    return p;
  }
  [[noreturn]] virtual void unsupported(const std::string& why) = 0;
  const ptx::Module* module = nullptr;
  const ptx::Function* function = nullptr;
  const ptx::Instruction* instruction = nullptr;

 protected:
  virtual void own(void* p, void (*destroy)(void*)) = 0;
};

using Selector = void (*)(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out);
/// Families call this from a static initialiser-free function `register_<family>()` that decoder.cpp calls once.
/// Several families may share a mnemonic (`add`): a selector that does not know the type returns without setting Decoded::run, and the next
/// one is asked. half.cpp is asked before integer.cpp and float.cpp; otherwise the order is that of the list below.
void add_selector(const char* mnemonic, Selector selector);

class LoadedModule;
/// Decodes a function into its Code. Throws Unsupported.
void decode(const LoadedModule& module, const ptx::Function& function, Code& code);

// The families, each in its own file(s).
void register_integer();  // exec/integer.cpp: add sub mul mad div rem neg abs min max and or xor not shl shr shf bfi bfe bfind brev clz
                          // popc bmsk prmt sad lop3 vabsdiff4 ...
void register_float();  // exec/float.cpp: f32 f64 arithmetic with rounding, fma, div, rcp, sqrt, rsqrt, ex2, lg2, sin, cos, tanh, copysign,
                        // testp
void register_half();   // exec/half.cpp: f16, f16x2, bf16, bf16x2
void register_convert();  // exec/convert.cpp: mov cvt cvta cvt.pack isspacep selp setp set slct
void register_control();  // exec/control.cpp: bra brx call ret exit trap nanosleep
void register_warp();     // exec/warp_ops.cpp: shfl vote match redux activemask bar.warp.sync elect
void register_barrier();  // exec/barrier.cpp: bar barrier membar fence griddepcontrol mbarrier
void register_memory();   // exec/load_store.cpp, exec/atomic.cpp, exec/async.cpp: ld st ldu prefetch atom red cp.async
void register_matrix();   // exec/matrix.cpp: mma wmma ldmatrix stmatrix movmatrix

}  // namespace gradus::emulator
