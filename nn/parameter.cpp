#include <gradus/nn/parameter.h>

namespace gradus::inline v0::detail {
namespace {
constinit thread_local int sharing_depth = 0;
}

SharingCopies::SharingCopies() noexcept { ++sharing_depth; }
SharingCopies::~SharingCopies() { --sharing_depth; }

OwnedTensor::OwnedTensor(const OwnedTensor& other) : tensor_(sharing_depth > 0 ? other.tensor_ : other.tensor_.clone()) {}

}  // namespace gradus::inline v0::detail
