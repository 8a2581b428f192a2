// Batches of a data set, epoch after epoch, in an order that follows from seed and epoch alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gradus/nn/data/dataset.h>

namespace gradus::inline v0 {

class Checkpoint;

struct LoaderOptions {
  std::int64_t batch_size = 64;
  bool shuffle = true;
  bool drop_last = true;  ///< leave out the incomplete last batch of an epoch
};

/// Deals a data set out in batches.
///
///     Loader loader(train, {.batch_size = 256}, seed);
///     for (int step = 0; step < steps; ++step) {
///       Batch batch = loader.next();
///       ...
///     }
///
/// The order of epoch e is permutation_of(size, fold(Key{seed, stream of the loader}, e)): it does not depend on where the loader was
/// before, so a position (two numbers) is all that a checkpoint has to hold.
class Loader {
 public:
  /// Where the next batch comes from.
  struct Position {
    std::int64_t epoch = 0, batch = 0;
    friend bool operator==(const Position&, const Position&) = default;
  };

  /// Throws ValueError unless batch_size >= 1 and an epoch has at least one batch.
  Loader(Dataset data, LoaderOptions options, std::uint64_t seed);

  /// The next batch; after the last of an epoch comes the first of the next. Throws ValueError if a checkpoint of another data set or
  /// batch size has given it a position that does not exist.
  Batch next();
  std::int64_t batches_per_epoch() const;
  /// Of the batch that next() will give.
  std::int64_t epoch() const { return position_.epoch; }
  Position position() const { return position_; }
  /// Continues from a position that position() gave. Throws ValueError for one that does not exist.
  void seek(Position position);
  /// Adds the position to a checkpoint (nn/serialize.h) as NAME_epoch and NAME_batch: a loader restored from it goes on where this one was.
  void add_to(Checkpoint& checkpoint, const std::string& name);
  const Dataset& data() const { return data_; }

 private:
  Dataset data_;
  LoaderOptions options_;
  std::uint64_t seed_;
  Position position_;
  std::vector<std::int64_t> order_;  // of epoch order_epoch_
  std::int64_t order_epoch_ = -1;
};

}  // namespace gradus::inline v0
