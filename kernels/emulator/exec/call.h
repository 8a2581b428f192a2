// Calls: what is fixed when one is decoded. Shared by control.cpp and intrinsics.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

/// An argument or return value of a call, on the caller's side: a register, or a .param variable.
struct CallValue {
  bool in_register = false;
  Ref ref;                        // a register or constant
  Decoder::ParameterPlace place;  // else
  std::uint32_t bytes = 4;
};
/// Where lane `lane`'s value lies; `frame` is the caller's, `specials` its warp's (a return value has no need of them).
std::byte* caller_value(const Frame& frame, const std::byte* specials, const CallValue& value, int lane);

struct CallSite;
/// A function that the device's runtime provides. Called once for all active lanes.
using Intrinsic = void (*)(Warp& warp, const CallSite& site, Mask active);
/// Decoded::extra of a call.
struct CallSite {
  const Code* code = nullptr;  // of a direct call
  Intrinsic intrinsic = nullptr;
  std::vector<CallValue> arguments, returns;

  template <class T> T argument(const Warp& warp, std::size_t i, int lane) const {
    T value{};
    __builtin_memcpy(&value, caller_value(*warp.current->frame, warp.specials, arguments[i], lane), sizeof value);
    return value;
  }
  template <class T> void give_back(const Warp& warp, int lane, T value) const {
    if (!returns.empty()) __builtin_memcpy(caller_value(*warp.current->frame, warp.specials, returns[0], lane), &value, sizeof value);
  }
};

struct IntrinsicFunction {
  Intrinsic run = nullptr;
  std::vector<std::uint32_t> arguments;  // bytes of each that it reads
  std::uint32_t result = 0;              // bytes that it writes, if the call has a place for them
  bool accepts(const CallSite& site) const;
};
/// Null if there is none of that name.
const IntrinsicFunction* find_intrinsic(const std::string& name);

}  // namespace gradus::emulator
