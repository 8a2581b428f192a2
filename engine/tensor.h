// Tensor: a handle to a contiguous, immutable-looking array. Copying a handle shares; every body has an immutable id.
//
// Only the few writing functions at the end change what a tensor holds. Recording never writes into a tensor, so a tensor that nobody
// writes may be read from several threads. NaN and infinity are ordinary values.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gradus/engine/memory.h>
#include <gradus/engine/refcount.h>
#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

namespace detail {

/// Owns the bytes. Header and data of an owning storage are one block.
struct Storage {
  RefCount refs;
  std::uint32_t version = 0;  // bumped by every write
  const char* writer = "";    // who wrote last
  void* data = nullptr;
  std::size_t block_bytes = 0;  // of header and data together; on a device of the data alone, its header is on the host
  Device device = Device::cpu;
  void (*release)(void*) = nullptr;  // borrowed memory: called with `context` at the end
  void* context = nullptr;
};

inline constexpr std::uint32_t kNoSlot = 0xFFFFFFFFu;

/// What a handle points to. All fields are set when the body is made (an op's result gets its tape position before anybody else
/// sees it) and never change.
struct Body {
  RefCount refs;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  std::uint32_t slot = kNoSlot;  // position on tape number `tape`
  std::uint64_t id = 0;
  std::uint64_t tape = 0;           // serial of the tape that recorded it; 0: none
  std::uint64_t severed_first = 0;  // serials of the outer tapes whose gradient it lost; 0: none
  std::uint64_t severed_last = 0;
  Storage* storage = nullptr;
  char* data = nullptr;
  Shape shape;
};

void destroy(Body* body) noexcept;

}  // namespace detail

/// A handle to an array of up to 8 axes. Default-constructed, it is empty: `if (t)` is false and it has no shape.
///
///     Tensor x = Tensor::from({1.f, 2.f, 3.f, 4.f}, {2, 2});
///     float first = x.values<float>()[0];
///     Tensor y = x;                                  // the same array, the same id
class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor& other) : body_(other.body_) {
    if (body_) body_->refs.add();
  }
  Tensor(Tensor&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
  Tensor& operator=(const Tensor& other) {
    Tensor copy(other);
    std::swap(body_, copy.body_);
    return *this;
  }
  Tensor& operator=(Tensor&& other) noexcept {
    std::swap(body_, other.body_);
    other.reset();
    return *this;
  }
  ~Tensor() { reset(); }

  /// Uninitialised memory; `zeros`, `full` and `from` are what programs use.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor ones(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor scalar(double value, DType dtype = DType::f32, Device device = Device::cpu);
  /// 0, 1, ..., n-1.
  static Tensor arange(std::int64_t n, DType dtype = DType::i64, Device device = Device::cpu);
  /// Copies `values`; without a shape, one axis. Throws ShapeError if the counts differ.
  template <class T> static Tensor from(std::initializer_list<T> values, const Shape& shape) {
    return from_memory(values.begin(), values.size(), shape, dtype_of<T>);
  }
  template <class T> static Tensor from(std::initializer_list<T> values) {
    return from(values, Shape{static_cast<std::int64_t>(values.size())});
  }
  template <class T> static Tensor from(std::span<const T> values, const Shape& shape) {
    return from_memory(values.data(), values.size(), shape, dtype_of<T>);
  }
  template <class T> static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from_memory(values.data(), values.size(), shape, dtype_of<T>);
  }
  /// Wraps memory that the host program owns; `release` runs when the last handle dies. Alignment is the caller's: any works.
  static Tensor borrow(void* data, const Shape& shape, DType dtype, std::function<void()> release = {});

  explicit operator bool() const { return body_ != nullptr; }
  const Shape& shape() const { return body_->shape; }
  int rank() const { return body_->shape.rank(); }
  /// Extent of an axis; negative axes count from the end. Throws ShapeError when there is no such axis.
  std::int64_t size(int axis) const;
  std::int64_t elements() const { return body_->shape.elements(); }
  std::int64_t bytes() const { return elements() * static_cast<std::int64_t>(size_of(dtype())); }
  DType dtype() const { return body_->dtype; }
  Device device() const { return body_->device; }
  std::uint64_t id() const { return body_->id; }

  /// The elements, row-major. Throws DTypeError if T is not the tensor's type, DeviceError if it is not on the CPU.
  template <class T> std::span<const T> values() const& {
    check_readable(dtype_of<T>);
    return {reinterpret_cast<const T*>(body_->data), static_cast<std::size_t>(elements())};
  }
  template <class T> std::span<const T> values() const&& = delete;  // the array may die with this handle: name the tensor, or to_vector()
  /// A copy of the elements; from a device it waits.
  template <class T> std::vector<T> to_vector() const {
    const Tensor here = on_host();
    const auto v = here.values<T>();
    return {v.begin(), v.end()};
  }
  /// The only element, as a double; from a device it waits. Throws ShapeError if there are more or none.
  double item() const;

  /// The same array as a constant: on no tape, its history cut. This is the explicit way to stop a gradient.
  Tensor detach() const;
  /// A copy of the bytes as a constant.
  Tensor clone() const;
  /// The same array on `device`, as a constant: this tensor's detach() if it is there already, otherwise a copy. To the host it waits.
  /// Throws DeviceError if there is no such device.
  Tensor to(Device device) const;

  ConstArray array() const { return {body_->data, &body_->shape, body_->dtype}; }

 private:
  friend struct TensorAccess;
  explicit Tensor(detail::Body* body) : body_(body) {}
  static Tensor from_memory(const void* values, std::size_t count, const Shape& shape, DType dtype);
  void check_readable(DType wanted) const;
  Tensor on_host() const { return !body_ || device() == Device::cpu ? *this : to(Device::cpu); }
  void reset() {
    if (body_ && body_->refs.drop()) detail::destroy(body_);
    body_ = nullptr;
  }
  detail::Body* body_ = nullptr;
};

/// The engine's and the kernels' callers' way past the handle. Not for programs.
struct TensorAccess {
  static detail::Body* body(const Tensor& t) { return t.body_; }
  /// Writes into a tensor that the caller has just made and nobody else has seen.
  static Array fresh(Tensor& t) { return {t.body_->data, &t.body_->shape, t.body_->dtype}; }
  /// True when no other handle and no other tensor sees these bytes.
  static bool unique(const Tensor& t) { return t.body_->refs.is_one() && t.body_->storage->refs.is_one() && !t.body_->storage->release; }
  /// A new body on the same storage: `shape` elements from byte `offset` of t's data.
  static Tensor view(const Tensor& t, const Shape& shape, std::int64_t offset);
};

/// Tensors in order, without malloc in steady state.
using TensorList = Vec<Tensor>;

Tensor empty_like(const Tensor& x);
Tensor zeros_like(const Tensor& x);  // of x's shape, type and device
Tensor ones_like(const Tensor& x);

/// "f32[2, 3] on cpu: 1, 2, 3 ... 6": shape, type and the first and last elements.
std::string to_string(const Tensor& t);
/// "x (f32[2, 3] on cpu)": how error texts name an operand.
std::string describe(const char* name, const Tensor& t);

/// Throws DeviceError, naming the operands, unless both are on one device.
void check_same_device(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b);

// The writing functions. Each bumps the storage's version, so that a tape that saved the old values notices; each throws
// GradientError if `destination` is live on a tape of this thread.

/// destination = source: same shape and type.
void assign(const Tensor& destination, const Tensor& source);
/// Rows offset .. offset + rows.size(0) - 1 of destination = rows.
void assign_window(const Tensor& destination, std::int64_t offset, const Tensor& rows);
/// destination += weight (source - destination): a moving average.
void lerp_(const Tensor& destination, const Tensor& source, double weight);

/// Checks that `t` may be written by `op`, bumps its version and gives its memory. For optimizers and the functions above.
Array begin_write(const char* op, const Tensor& t);

}  // namespace gradus::inline v0
