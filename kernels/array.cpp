#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
    case DType::boolean: return "bool";
    case DType::bf16: return "bf16";
  }
  return "?";
}

const char* name_of(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

Shape::Shape(std::initializer_list<std::int64_t> extents) : Shape(extents.begin(), static_cast<int>(extents.size())) {}

Shape::Shape(const std::int64_t* extents, int rank) {
  for (int i = 0; i < rank; ++i) push_back(extents[i]);
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == kMaxRank) raise_shape("[shape] a tensor has at most 8 axes");
  std::int64_t product = 0;
  if (extent < 0 || __builtin_mul_overflow(elements_, extent, &product))
    raise_shape("[shape] extent " + std::to_string(extent) + " is negative or overflows the element count");
  extents_[rank_++] = extent;
  elements_ = product;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace gradus::inline v0
