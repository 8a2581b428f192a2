// Saved states as values: what a checkpoint file holds of each training loop, under the loop's name.
#pragma once

#include <string>

#include <gradus/algorithms/experiments/program/run.h>
#include <gradus/nn/safetensors.h>

namespace gradus::experiments {

/// What `state` names, now. With `copied` the tensors are copies that outlive the next step; else they are for writing at once.
TensorFile snapshot_of(const State& state, bool copied);
/// Gives the values back. Throws IoError naming `origin` if the snapshot does not fit; nothing has changed then.
void restore(const State& state, const TensorFile& snapshot, const std::string& origin);

/// Adds everything of `part` to `whole` as "prefix/name".
void add_part(TensorFile& whole, const std::string& prefix, const TensorFile& part);
/// What stands under "prefix/" in `whole`, without the prefix.
TensorFile part_of(const TensorFile& whole, const std::string& prefix);

}  // namespace gradus::experiments
