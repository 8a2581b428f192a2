#include <gradus/nn/data/dataset.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace gradus::inline v0 {
namespace {

// Streams of the data's keys, apart from those of ops: their names in ASCII.
constexpr std::uint32_t kSplitStream = 0x53504C54;

// The i-th random word of a key.
std::uint32_t word_of(Key key, std::int64_t i) { return philox_block(key, 0, i >> 2).word[i & 3]; }

void require_count(const char* op, const char* name, std::int64_t n, std::int64_t size) {
  if (n < 0 || n > size)
    raise_value(std::string("[") + op + "] " + name + " is " + std::to_string(n) + ": expected 0 to " + std::to_string(size) +
                ", the samples there are");
}

// n different numbers below `size`: Floyd's method (Bentley and Floyd 1987, CACM 30, 9) needs n draws, whatever `size` is.
std::vector<std::int64_t> distinct(std::int64_t n, std::int64_t size, Key key) {
  std::vector<std::int64_t> drawn, sorted;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t last = size - n + i;
    std::int64_t pick = below(word_of(key, i), static_cast<std::uint64_t>(last) + 1);
    if (std::binary_search(sorted.begin(), sorted.end(), pick)) pick = last;
    drawn.push_back(pick);
    sorted.insert(std::lower_bound(sorted.begin(), sorted.end(), pick), pick);
  }
  return drawn;
}

}  // namespace

Tensor take_rows(const Tensor& x, std::span<const std::int64_t> rows) {
  Shape shape{static_cast<std::int64_t>(rows.size())};
  for (int axis = 1; axis < x.rank(); ++axis) shape.push_back(x.shape()[axis]);
  Tensor y = Tensor::empty(shape, x.dtype());
  const auto row_bytes = static_cast<std::size_t>(x.shape().product(1, x.rank())) * size_of(x.dtype());
  const auto* from = static_cast<const char*>(x.array().data);
  auto* to = static_cast<char*>(TensorAccess::fresh(y).data);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= x.shape()[0])
      raise_index("[take_rows] rows[" + std::to_string(i) + "] is " + std::to_string(rows[i]) + ": expected 0 <= row < " +
                  std::to_string(x.shape()[0]));
    if (row_bytes) std::memcpy(to + i * row_bytes, from + static_cast<std::size_t>(rows[i]) * row_bytes, row_bytes);
  }
  return y;
}

std::vector<std::int64_t> permutation_of(std::int64_t n, Key key) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::int64_t i = n - 1; i > 0; --i) {
    const std::int64_t j = below(word_of(key, i), static_cast<std::uint64_t>(i) + 1);
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
  }
  return order;
}

Batch Dataset::batch(std::span<const std::int64_t> rows) const {
  return {take_rows(inputs, rows), labels ? take_rows(labels, rows) : Tensor(), take_rows(sample_ids, rows)};
}

Batch Dataset::sample(std::int64_t n, Generator& generator) const {
  require_count("sample", "n", n, size());
  return batch(distinct(n, size(), generator.next_key()));
}

Dataset Dataset::subset(std::span<const std::int64_t> rows) const {
  Dataset part = *this;
  const Batch some = batch(rows);
  part.inputs = some.inputs;
  part.labels = some.labels;
  part.sample_ids = some.sample_ids;
  return part;
}

Dataset Dataset::take(std::int64_t n) const {
  require_count("take", "n", n, size());
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return subset(rows);
}

Split Dataset::split(std::int64_t train, std::uint64_t seed) const {
  require_count("split", "train", train, size());
  const std::vector<std::int64_t> order = permutation_of(size(), Key{seed, kSplitStream});
  const std::span<const std::int64_t> all(order);
  const auto first = static_cast<std::size_t>(train);
  return {subset(all.subspan(0, first)), subset(all.subspan(first))};
}

Dataset make_dataset(Tensor inputs, Tensor labels, std::vector<std::string> names) {
  Dataset data;
  const std::int64_t n = inputs.size(0);
  if (labels && labels.size(0) != n)
    raise_shape("[make_dataset] there are " + std::to_string(n) + " inputs and " + std::to_string(labels.size(0)) +
                " labels: " + describe("inputs", inputs) + ", " + describe("labels", labels));
  if (labels && labels.dtype() == DType::u8) {
    std::vector<std::int64_t> wide(labels.values<std::uint8_t>().begin(), labels.values<std::uint8_t>().end());
    labels = Tensor::from(wide, labels.shape());
  }
  if (labels && !names.empty()) {
    const auto values = labels.values<std::int64_t>();
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] < 0 || values[i] >= static_cast<std::int64_t>(names.size()))
        raise_index("[make_dataset] labels[" + std::to_string(i) + "] is " + std::to_string(values[i]) + ": expected 0 <= label < " +
                    std::to_string(names.size()));
  }
  data.inputs = std::move(inputs);
  data.labels = std::move(labels);
  data.sample_ids = Tensor::arange(n);
  data.names = std::move(names);
  return data;
}

}  // namespace gradus::inline v0
