// The standard shapes of `gradus kernels`: each entry is one call of a launcher, with the bounds that it has to keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <gradus/kernels/array.h>

namespace gradus::costs {

/// Device memory of one entry, and the bytes that its operands make compulsory: each input read once, each output written once.
class Operands {
 public:
  Operands() = default;
  Operands(const Operands&) = delete;
  Operands& operator=(const Operands&) = delete;
  ~Operands();

  /// Read once: numbers in [-1, 1), bits, bytes.
  ConstArray in(const Shape& shape, DType dtype = DType::f32);
  /// The same for whole numbers that the caller gives.
  ConstArray in(const Shape& shape, const std::vector<std::int64_t>& values);
  /// One element.
  ConstArray number(float value);
  /// Written once; begins as zeros, which every later kernel can read.
  Array out(const Shape& shape, DType dtype = DType::f32);
  /// Read and written: counts twice.
  Array inout(const Shape& shape, DType dtype = DType::f32);
  /// Scratch is nobody's operand: it counts nothing.
  Workspace scratch(std::size_t bytes);

  double least_bytes() const { return least_bytes_; }

 private:
  Array make(const Shape& shape, DType dtype, int passes);
  void fill_numbers(const Array& a);

  std::deque<Shape> shapes_;
  std::vector<void*> blocks_;
  double least_bytes_ = 0;
  std::uint64_t state_ = 1;  // of the numbers: the same on every run
};

/// What a call must keep, in absolute figures. 0: not bounded.
struct Bounds {
  bool streams = false;     // memory-bound: bytes touched <= 1.05 x compulsory, no bank conflicts, whole sectors
  double sectors = 0;       // of a request: 4 (f32), 16 (float4); where an entry mixes widths, whole sectors are all that can be asked
  double narrow = 0;        // requests of one or few lanes (a row's loss, its label), a sector each: left out of `sectors`
  double global_bytes = 0;  // the tiling's formula; bytes requested stay within 1.1 x
};

struct Entry {
  std::string name;
  /// Makes the operands and returns the call that is measured.
  std::function<std::function<void()>(Operands&)> make;
  Bounds bounds;
};

void add_elementwise(std::vector<Entry>& entries);
void add_rows(std::vector<Entry>& entries);
void add_optimizers(std::vector<Entry>& entries);
void add_moves(std::vector<Entry>& entries);
void add_images(std::vector<Entry>& entries);
void add_random(std::vector<Entry>& entries);
void add_products(std::vector<Entry>& entries);
void add_contrastive(std::vector<Entry>& entries);

/// All of them, in the order of the table.
const std::vector<Entry>& entries();

}  // namespace gradus::costs
