// Checkpoints: everything that a run needs to go on bit for bit, in one safetensors file.
//
// A Checkpoint is a list of references to the parts of a run. It is written once and used for both directions, so what is saved is what
// is loaded:
//
//     Checkpoint run;
//     run.add("model", model);
//     run.add("adam", adam, model);             // its state under the model's parameter names
//     run.add("rng", rng);
//     run.add("step", step);
//     if (resume) run.load("run.safetensors");
//     ...
//     run.save("run.safetensors");
//
// Tensors are named "model.layers.0.weight", "adam.layers.0.weight.m"; numbers and strings stand in the file's metadata.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gradus/kernels/philox.h>
#include <gradus/nn/module.h>
#include <gradus/nn/optimizers.h>
#include <gradus/nn/safetensors.h>

namespace gradus::inline v0 {

namespace detail {

/// What a part reads from: a file, and which of its entries have been claimed.
class CheckpointReader;

/// One part of a run.
class CheckpointPart {
 public:
  virtual ~CheckpointPart() = default;
  virtual void save(TensorFile& file) const = 0;
  /// Looks everything up and makes ready whatever can fail. Throws IoError; nothing has changed.
  virtual void check(CheckpointReader& file) = 0;
  /// Takes over what check() made ready.
  virtual void commit() noexcept = 0;
};

}  // namespace detail

/// References to the parts of a run; they must outlive it. Names are unique and have no dot; ValueError otherwise.
class Checkpoint {
 public:
  Checkpoint();
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  /// Parameters and buffers. Loading writes into the tensors that are there, so their ids stay.
  template <class M>
  requires requires(M& m, Visitor& v) { m.visit(v); }
  void add(const std::string& name, M& model) { add_module(name, ModuleRef(model)); }
  /// The optimizer's config, step count and, under the names of `model`'s parameters, moments, masks and step counts. Loading restores the
  /// config too (learning-rate schedule included; exclusions from decay are the program's): to change it, do so after load(). Saving
  /// throws ValueError if the optimizer has state of a parameter that `model` has not.
  template <class M> void add(const std::string& name, Optimizer& optimizer, M& model) { add_optimizer(name, optimizer, ModuleRef(model)); }
  void add(const std::string& name, Generator& generator);
  void add(const std::string& name, std::int64_t& value);
  void add(const std::string& name, double& value);
  void add(const std::string& name, std::string& value);
  /// A tensor of any shape (a queue, scores), or an empty one; loading replaces the handle.
  void add(const std::string& name, Tensor& value);
  void add(const std::string& name, std::vector<std::int64_t>& values);
  void add(const std::string& name, std::vector<double>& values);

  /// Writes the file (write_safetensors: whole or not at all). Throws IoError, ValueError.
  void save(const std::string& path) const;
  TensorFile to_file() const;

  /// Reads the file and checks all of it - every part present, of the right type and shape, and nothing that no part claims - before it
  /// changes anything. Throws IoError naming file and entry; GradientError if a parameter is live on an unfinished tape.
  void load(const std::string& path);
  /// The same from what was read elsewhere; `origin` stands for the file in error texts.
  void load(const TensorFile& file, const std::string& origin);
  /// load() for programs without exceptions: false on failure, with the text in *error (may be null).
  bool try_load(const std::string& path, std::string* error) noexcept;

 private:
  void add_module(const std::string& name, const ModuleRef& module);
  void add_optimizer(const std::string& name, Optimizer& optimizer, const ModuleRef& module);
  void add_part(const std::string& name, std::unique_ptr<detail::CheckpointPart> part);
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<detail::CheckpointPart>> parts_;
};

namespace detail {
void save_module(const std::string& path, const ModuleRef& model);
void load_module(const std::string& path, const ModuleRef& model);
}  // namespace detail

/// Parameters and buffers of one model under the names of its visit: what other programs read. Throws IoError.
template <class M> void save_module(const std::string& path, const M& model) {
  detail::save_module(path, ModuleRef(const_cast<M&>(model)));  // visitors that read do not write
}
/// Reads what save_module writes, or any file with these names, types and shapes and no others; metadata is ignored. Throws IoError;
/// the model is then unchanged.
template <class M> void load_module(const std::string& path, M& model) { detail::load_module(path, ModuleRef(model)); }

}  // namespace gradus::inline v0
