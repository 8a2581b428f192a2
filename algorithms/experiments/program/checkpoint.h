// What a training loop hands over to be saved, and gets back: one function names every value, for both directions.
//
//     const auto state = [&](Checkpoint& c) {
//       c("encoder", encoder);                 // a module: parameters and buffers
//       c("adam", adam, encoder);              // an optimizer, with the module whose parameters it moves
//       c("loader", loader);                   // its position
//       c("rng", rng);
//       c("best", best_accuracy);              // double, std::int64_t, int, bool, std::string, std::vector<double>
//     };
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>
#include <gradus/nn/data/loader.h>
#include <gradus/nn/module.h>

namespace gradus::experiments {

/// Saved values: tensors and texts by name.
struct Snapshot {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> texts;

  /// Adds everything of `part` under "prefix/name".
  void add(const std::string& prefix, const Snapshot& part);
  /// What stands under "prefix/", without it.
  Snapshot part(const std::string& prefix) const;
};

/// Writes a snapshot as safetensors: the tensors, and the texts as its metadata. Throws IoError; the old file stays then.
void save_snapshot(const std::string& path, const Snapshot& snapshot);
/// Throws IoError.
Snapshot load_snapshot(const std::string& path);

class Checkpoint {
 public:
  /// Collects values. With `copy`, tensors are copied: the snapshot may outlive the next step.
  static Checkpoint saving(bool copy) { return Checkpoint(copy); }
  /// Gives values back. Throws IoError for a name that the snapshot lacks or whose value does not fit.
  static Checkpoint restoring(Snapshot snapshot) { return Checkpoint(std::move(snapshot)); }
  bool is_restoring() const { return restoring_; }
  const Snapshot& snapshot() const { return snapshot_; }

  void operator()(const std::string& name, double& value);
  void operator()(const std::string& name, std::int64_t& value);
  void operator()(const std::string& name, int& value);
  void operator()(const std::string& name, bool& value);
  void operator()(const std::string& name, std::string& value);
  void operator()(const std::string& name, std::vector<double>& values);
  void operator()(const std::string& name, Generator& generator);
  void operator()(const std::string& name, Loader& loader);
  /// A tensor variable: restored as another tensor.
  void operator()(const std::string& name, Tensor& tensor);
  /// A module: parameters and buffers are overwritten in place and keep their ids.
  template <class M>
  requires requires(M& module, Visitor& visitor) { module.visit(visitor); }
  void operator()(const std::string& name, M& module) { tensors_of(name, named_tensors_of(ModuleRef(module))); }

 private:
  explicit Checkpoint(bool copy) : copy_(copy) {}
  explicit Checkpoint(Snapshot snapshot) : restoring_(true), snapshot_(std::move(snapshot)) {}
  void tensors_of(const std::string& name, const NamedTensors& tensors);
  const std::string& text(const std::string& name) const;
  const Tensor& tensor(const std::string& name) const;
  template <class Number> void number(const std::string& name, Number& value);

  bool restoring_ = false, copy_ = false;
  Snapshot snapshot_;
};

}  // namespace gradus::experiments
