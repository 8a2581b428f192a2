// Errors: one exception type per kind of failure, so that a host program can tell them apart.
//
// Text of every error: "[op] what is wrong: operands; what was expected; likely cause". Headers of this library compile with
// -fno-exceptions, so whoever fails calls one of the out-of-line raise functions below instead of writing `throw`.
#pragma once

#include <exception>
#include <string>

namespace gradus::inline v0 {

/// Base of every error that the library raises.
class Error : public std::exception {
 public:
  explicit Error(std::string text) : text_(static_cast<std::string&&>(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

class ShapeError : public Error {
  using Error::Error;
};  ///< extents or ranks that do not fit together
class DTypeError : public Error {
  using Error::Error;
};  ///< element types that do not fit; there is no promotion
class DeviceError : public Error {
  using Error::Error;
};  ///< a device that is absent, or tensors on two devices
class MemoryError : public Error {
  using Error::Error;
};  ///< an allocation that failed twice
class GradientError : public Error {
  using Error::Error;
};  ///< a gradient that cannot be what was asked for
class IndexError : public Error {
  using Error::Error;
};  ///< a label or index out of range
class ValueError : public Error {
  using Error::Error;
};  ///< an argument outside its domain (a rate, a probability)
class IoError : public Error {
  using Error::Error;
};  ///< a file that cannot be read, written or trusted
class CudaError : public Error {
  using Error::Error;
};  ///< the CUDA runtime or a vendor library failed
class Cancelled : public Error {
  using Error::Error;
};  ///< the caller's stop token fired
class InternalError : public Error {
  using Error::Error;
};  ///< a bug of this library (tests and debug builds only)

[[noreturn]] void raise_shape(std::string text);
[[noreturn]] void raise_dtype(std::string text);
[[noreturn]] void raise_device(std::string text);
[[noreturn]] void raise_memory(std::string text);
[[noreturn]] void raise_gradient(std::string text);
[[noreturn]] void raise_index(std::string text);
[[noreturn]] void raise_value(std::string text);
[[noreturn]] void raise_io(std::string text);
[[noreturn]] void raise_cancelled(std::string text);
[[noreturn]] void raise_internal(const char* condition, const char* file, int line);

}  // namespace gradus::inline v0

// An invariant of the library itself. It throws in tests and debug builds and is gone in release builds: nothing aborts.
#if defined(GRADUS_CHECKED)
#define GRADUS_ASSERT(condition) ((condition) ? void(0) : ::gradus::raise_internal(#condition, __FILE__, __LINE__))
#else
#define GRADUS_ASSERT(condition) void(0)
#endif
