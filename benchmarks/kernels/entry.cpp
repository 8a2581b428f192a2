#include <gradus/benchmarks/kernels/entry.h>

#include <algorithm>
#include <cstring>

#include <gradus/kernels/device.h>
#include <gradus/kernels/philox.h>

namespace gradus::costs {

Operands::~Operands() {
  for (void* block : blocks_) cuda::system_free(block);
}

Array Operands::make(const Shape& shape, DType dtype, int passes) {
  shapes_.push_back(shape);
  const std::size_t bytes = static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  const Workspace memory = scratch(bytes);
  least_bytes_ += static_cast<double>(bytes) * passes;
  return {memory.data, &shapes_.back(), dtype};
}

Workspace Operands::scratch(std::size_t bytes) {
  void* const block = cuda::system_allocate(std::max<std::size_t>(bytes, 256));
  if (!block) raise_memory("[kernels] there is not enough memory for the operands");
  blocks_.push_back(block);
  cuda::fill_bytes(block, 0, bytes);
  return {block, bytes};
}

void Operands::fill_numbers(const Array& a) {
  const std::int64_t n = a.elements();
  std::vector<std::byte> host(static_cast<std::size_t>(n) * size_of(a.dtype));
  const std::uint64_t seed = state_++;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t word = philox(seed, static_cast<std::uint32_t>(i), 0, 0, 0).word[0];
    const float number = static_cast<float>(word >> 8) * 0x1p-23f - 1;
    std::byte* const to = host.data() + static_cast<std::size_t>(i) * size_of(a.dtype);
    const double wide = number;
    std::uint32_t bits;
    std::memcpy(&bits, &number, 4);
    const auto half = static_cast<std::uint16_t>(bits >> 16);
    const auto byte = static_cast<std::uint8_t>(a.dtype == DType::boolean ? word >> 31 : word >> 24);
    switch (a.dtype) {
      case DType::f32: std::memcpy(to, &number, 4); break;
      case DType::f64: std::memcpy(to, &wide, 8); break;
      case DType::bf16: std::memcpy(to, &half, 2); break;
      case DType::u8:
      case DType::boolean: std::memcpy(to, &byte, 1); break;
      case DType::i64: break;  // zeros: positions are given
    }
  }
  cuda::copy_from_host(a.data, host.data(), host.size());
}

ConstArray Operands::in(const Shape& shape, DType dtype) {
  const Array a = make(shape, dtype, 1);
  fill_numbers(a);
  return a;
}

ConstArray Operands::in(const Shape& shape, const std::vector<std::int64_t>& values) {
  const Array a = make(shape, DType::i64, 1);
  cuda::copy_from_host(a.data, values.data(), values.size() * sizeof(std::int64_t));
  return a;
}

ConstArray Operands::number(float value) {
  const Array a = make({}, DType::f32, 1);
  cuda::copy_from_host(a.data, &value, sizeof value);
  return a;
}

Array Operands::out(const Shape& shape, DType dtype) { return make(shape, dtype, 1); }

Array Operands::inout(const Shape& shape, DType dtype) {
  const Array a = make(shape, dtype, 2);
  fill_numbers(a);
  return a;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> list;
    for (const auto add : {add_elementwise, add_rows, add_optimizers, add_moves, add_images, add_random, add_products, add_contrastive})
      add(list);
    return list;
  }();
  return all;
}

}  // namespace gradus::costs
