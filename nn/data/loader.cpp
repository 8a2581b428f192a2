#include <gradus/nn/data/loader.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include <gradus/nn/serialize.h>

namespace gradus::inline v0 {
namespace {
constexpr std::uint32_t kLoaderStream = 0x4C4F4144;  // "LOAD": apart from the streams of ops
}

Loader::Loader(Dataset data, LoaderOptions options, std::uint64_t seed) : data_(std::move(data)), options_(options), seed_(seed) {
  if (options_.batch_size < 1) raise_value("[Loader] batch_size is " + std::to_string(options_.batch_size) + ": expected 1 or more");
  if (batches_per_epoch() < 1)
    raise_value("[Loader] an epoch of " + std::to_string(data_.size()) + " samples has no batch of " + std::to_string(options_.batch_size) +
                ": take a smaller batch_size, or keep the last batch");
}

std::int64_t Loader::batches_per_epoch() const {
  const std::int64_t whole = data_.size() / options_.batch_size;
  return !options_.drop_last && data_.size() % options_.batch_size ? whole + 1 : whole;
}

Batch Loader::next() {
  seek(position_);
  if (order_epoch_ != position_.epoch) {
    if (options_.shuffle) {
      order_ = permutation_of(data_.size(), fold(Key{seed_, kLoaderStream}, static_cast<std::uint64_t>(position_.epoch)));
    } else {
      order_.resize(static_cast<std::size_t>(data_.size()));
      std::iota(order_.begin(), order_.end(), std::int64_t{0});
    }
    order_epoch_ = position_.epoch;
  }
  const std::int64_t first = position_.batch * options_.batch_size, count = std::min(options_.batch_size, data_.size() - first);
  Batch batch =
      data_.batch(std::span<const std::int64_t>(order_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
  if (++position_.batch == batches_per_epoch()) position_ = {position_.epoch + 1, 0};
  return batch;
}

void Loader::add_to(Checkpoint& checkpoint, const std::string& name) {
  checkpoint.add(name + "_epoch", position_.epoch);
  checkpoint.add(name + "_batch", position_.batch);
}

void Loader::seek(Position position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch >= batches_per_epoch())
    raise_value("[Loader] there is no batch " + std::to_string(position.batch) + " of epoch " + std::to_string(position.epoch) +
                ": an epoch has " + std::to_string(batches_per_epoch()));
  position_ = position;
}

}  // namespace gradus::inline v0
