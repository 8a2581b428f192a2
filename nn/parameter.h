// Parameters and buffers: member types that own their tensor, which makes modules values.
//
// Copying one copies the data and gives it a new id; moving keeps both. So `Encoder teacher = student;` is a real copy, and optimizer
// state, keyed by id, follows a parameter through moves.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// What a parameter is for: weight decay and adaptation rules ask.
enum class Role : std::uint8_t { weight, bias, norm, embedding };

namespace detail {

/// While it lives, copies of parameters and buffers on this thread share their tensors (bind).
class SharingCopies {
 public:
  SharingCopies() noexcept;
  ~SharingCopies();
  SharingCopies(const SharingCopies&) = delete;
  SharingCopies& operator=(const SharingCopies&) = delete;
};

/// A tensor that is copied with its owner.
class OwnedTensor {
 public:
  OwnedTensor() = default;
  explicit OwnedTensor(Tensor value) : tensor_(std::move(value)) {}
  OwnedTensor(const OwnedTensor& other);
  OwnedTensor(OwnedTensor&&) noexcept = default;
  OwnedTensor& operator=(const OwnedTensor& other) {
    OwnedTensor copy(other);
    tensor_ = std::move(copy.tensor_);
    return *this;
  }
  OwnedTensor& operator=(OwnedTensor&&) noexcept = default;

  const Tensor& tensor() const { return tensor_; }
  operator const Tensor&() const { return tensor_; }
  /// Another tensor in its place, with another id: binding, growing, a change of type.
  void replace(Tensor value) { tensor_ = std::move(value); }

 private:
  Tensor tensor_;
};

}  // namespace detail

/// A trained tensor. Converts to `const Tensor&` wherever an op wants one.
///
///     Parameter weight(normal(rng.next_key(), {3, 4}));
///     Parameter copy = weight;                          // other memory, other id
class Parameter : public detail::OwnedTensor {
 public:
  Parameter() = default;
  explicit Parameter(Tensor value, Role role = Role::weight) : OwnedTensor(std::move(value)), role_(role) {}
  Role role() const { return role_; }

 private:
  Role role_ = Role::weight;
};

/// State that is saved and copied but not trained: running statistics, queues.
class Buffer : public detail::OwnedTensor {
 public:
  using OwnedTensor::OwnedTensor;
};

}  // namespace gradus::inline v0
