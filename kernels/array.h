// What a kernel sees: a pointer, an element type and a shape. Nothing here knows a tensor, a gradient or an owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include <gradus/kernels/error.h>

// Small accessors are always inlined: a hot file is compiled for a newer instruction set than the rest, and an out-of-line copy of an
// inline function made there could be the one that the linker keeps for everybody.
#if defined(__GNUC__)
#define GRADUS_INLINE __attribute__((always_inline)) inline
#else
#define GRADUS_INLINE inline
#endif

namespace gradus::inline v0 {

/// Element types. f32 trains, f64 checks gradients, i64 indexes, u8 holds images, boolean masks, bf16 stores.
enum class DType : std::uint8_t { f32, f64, i64, u8, boolean, bf16 };

/// Where the bytes are.
enum class Device : std::uint8_t { cpu, cuda };

GRADUS_INLINE constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::i64: return 8;
    case DType::bf16: return 2;
    case DType::u8:
    case DType::boolean: return 1;
  }
  return 0;
}
GRADUS_INLINE constexpr bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }
const char* name_of(DType dtype);
const char* name_of(Device device);

// The C++ type of an element type, and back.
template <class T> inline constexpr bool kHasDType = false;
template <> inline constexpr bool kHasDType<float> = true;
template <> inline constexpr bool kHasDType<double> = true;
template <> inline constexpr bool kHasDType<std::int64_t> = true;
template <> inline constexpr bool kHasDType<std::uint8_t> = true;
template <> inline constexpr bool kHasDType<bool> = true;
template <class T> inline constexpr DType dtype_of = DType::f32;
template <> inline constexpr DType dtype_of<double> = DType::f64;
template <> inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <> inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <> inline constexpr DType dtype_of<bool> = DType::boolean;

/// Extents of a contiguous row-major array, at most 8 of them. Rank 0 is a scalar (one element).
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  constexpr Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  Shape(const std::int64_t* extents, int rank);

  GRADUS_INLINE constexpr int rank() const { return rank_; }
  GRADUS_INLINE constexpr std::int64_t elements() const { return elements_; }
  GRADUS_INLINE constexpr std::int64_t operator[](int axis) const { return extents_[axis]; }
  GRADUS_INLINE constexpr const std::int64_t* begin() const { return extents_; }
  GRADUS_INLINE constexpr const std::int64_t* end() const { return extents_ + rank_; }
  GRADUS_INLINE constexpr std::int64_t back() const { return extents_[rank_ - 1]; }

  /// Appends an axis. Throws ShapeError above rank 8, for a negative extent and when the product overflows.
  void push_back(std::int64_t extent);
  /// The product of the extents of axes [first, last).
  GRADUS_INLINE constexpr std::int64_t product(int first, int last) const {
    std::int64_t n = 1;
    for (int i = first; i < last; ++i) n *= extents_[i];
    return n;
  }
  GRADUS_INLINE friend constexpr bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.extents_[i] != b.extents_[i]) return false;
    return true;
  }

 private:
  std::int64_t extents_[kMaxRank] = {};
  std::int64_t elements_ = 1;
  int rank_ = 0;
};

/// "[2, 3]"
std::string to_string(const Shape& shape);

/// A writable array: contiguous, row-major. The shape is borrowed from the caller for the length of the call.
struct Array {
  void* data = nullptr;
  const Shape* shape = nullptr;
  DType dtype = DType::f32;

  template <class T> GRADUS_INLINE T* as() const {
    GRADUS_ASSERT(dtype == dtype_of<T>);
    return static_cast<T*>(data);
  }
  GRADUS_INLINE std::int64_t elements() const { return shape->elements(); }
};

/// A read-only array. `data` may be null: an optional operand that is absent.
struct ConstArray {
  const void* data = nullptr;
  const Shape* shape = nullptr;
  DType dtype = DType::f32;

  GRADUS_INLINE ConstArray() {}
  GRADUS_INLINE ConstArray(const void* elements_at, const Shape* extents, DType type) : data(elements_at), shape(extents), dtype(type) {}
  GRADUS_INLINE ConstArray(const Array& a) : data(a.data), shape(a.shape), dtype(a.dtype) {}
  template <class T> GRADUS_INLINE const T* as() const {
    GRADUS_ASSERT(dtype == dtype_of<T>);
    return static_cast<const T*>(data);
  }
  GRADUS_INLINE std::int64_t elements() const { return shape->elements(); }
  GRADUS_INLINE explicit operator bool() const { return data != nullptr; }
};

/// Scratch that the caller lends to a kernel for one call; 64-byte aligned on the CPU.
struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

/// Calls f with a value of the C++ floating type of `dtype`.
template <class F> void with_floating(DType dtype, F&& f) {
  GRADUS_ASSERT(is_floating(dtype));
  if (dtype == DType::f32) f(float{});
  else f(double{});
}

}  // namespace gradus::inline v0
