// Data sets in memory. A sample is a row; its id is given once and stays with it through splits, subsets and batches, so that whatever is
// drawn for a sample (an augmentation, a mask) is the same in any batch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

/// Some samples of a data set.
struct Batch {
  Tensor inputs;      ///< [B, ...]
  Tensor labels;      ///< i64 [B], or targets [B, ...]; empty where the set has none
  Tensor sample_ids;  ///< i64 [B]
  /// The same samples on a device.
  Batch to(Device device) const { return {inputs.to(device), labels.to(device), sample_ids.to(device)}; }
};

struct Split;

/// A data set as a value: tensors are shared by copies.
struct Dataset {
  Tensor inputs;                   ///< [N, ...]
  Tensor labels;                   ///< i64 [N] (0 <= label < names.size()), or targets [N, ...], or empty
  Tensor sample_ids;               ///< i64 [N]
  std::vector<std::string> names;  ///< of the classes; empty for targets that are no classes
  std::string name;                ///< "digits"
  std::string origin, licence;
  std::string sha256;  ///< of the files it was read from

  std::int64_t size() const { return inputs ? inputs.shape()[0] : 0; }
  std::int64_t classes() const { return static_cast<std::int64_t>(names.size()); }
  /// All samples, in order.
  Batch all() const { return {inputs, labels, sample_ids}; }

  /// n different samples, each set of n equally likely (Floyd's method). Throws ValueError unless 0 <= n <= size().
  ///
  ///     Batch batch = digits().sample(64, rng);
  Batch sample(std::int64_t n, Generator& generator) const;
  /// Rows in the order of `rows`. Throws IndexError for a row that is not there.
  Batch batch(std::span<const std::int64_t> rows) const;
  /// The same as a data set.
  Dataset subset(std::span<const std::int64_t> rows) const;
  /// The first n rows. Throws ValueError unless 0 <= n <= size().
  Dataset take(std::int64_t n) const;
  /// Rows in an order drawn from `seed` (permutation_of), the first `train` of them and the others. Throws ValueError unless
  /// 0 <= train <= size().
  Split split(std::int64_t train, std::uint64_t seed) const;
};

struct Split {
  Dataset train, test;
};

/// A data set of `inputs` and `labels` whose sample ids are 0, 1, 2, ...; u8 labels become i64.
/// Throws ShapeError if the counts differ, IndexError for a label outside `names` (where there are names).
Dataset make_dataset(Tensor inputs, Tensor labels, std::vector<std::string> names);

/// 0 .. n-1 in an order that depends on n and key alone (Fisher and Yates, with Philox words), the same on every machine.
std::vector<std::int64_t> permutation_of(std::int64_t n, Key key);

/// Rows of x, copied: [rows.size(), ...]. Throws IndexError for a row that is not there.
Tensor take_rows(const Tensor& x, std::span<const std::int64_t> rows);

}  // namespace gradus::inline v0
