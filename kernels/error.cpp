#include <gradus/kernels/error.h>

#include <utility>

namespace gradus::inline v0 {

void raise_shape(std::string text) { throw ShapeError(std::move(text)); }
void raise_dtype(std::string text) { throw DTypeError(std::move(text)); }
void raise_device(std::string text) { throw DeviceError(std::move(text)); }
void raise_memory(std::string text) { throw MemoryError(std::move(text)); }
void raise_gradient(std::string text) { throw GradientError(std::move(text)); }
void raise_index(std::string text) { throw IndexError(std::move(text)); }
void raise_value(std::string text) { throw ValueError(std::move(text)); }
void raise_io(std::string text) { throw IoError(std::move(text)); }
void raise_cancelled(std::string text) { throw Cancelled(std::move(text)); }

void raise_internal(const char* condition, const char* file, int line) {
  throw InternalError(std::string("[internal] ") + condition + " does not hold at " + file + ":" + std::to_string(line));
}

}  // namespace gradus::inline v0
