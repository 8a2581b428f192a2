#include <gradus/nn/serialize.h>

#include <algorithm>
#include <utility>

#include <gradus/engine/device_copy.h>
#include <gradus/engine/record.h>
#include <gradus/nn/checkpoint_reader.h>

namespace gradus::inline v0 {
namespace detail {

namespace {

// ---- modules

class ModulePart final : public CheckpointPart {
 public:
  /// `prefix` is "model." or, for a file of its own, nothing.
  ModulePart(std::string prefix, const ModuleRef& module) : prefix_(std::move(prefix)), module_(module) {}

  void save(TensorFile& file) const override {
    for (NamedTensor& t : named_tensors_of(module_)) file.tensors.emplace_back(prefix_ + t.name, std::move(t.tensor));
  }
  void check(CheckpointReader& file) override {
    writes_.clear();
    for (const NamedTensor& t : named_tensors_of(module_)) {
      const Tensor& source = file.tensor_like(prefix_ + t.name, t.tensor.dtype(), t.tensor.shape());
      writes_.push_back({begin_write("load", t.tensor).data, t.tensor.device(), source.to(t.tensor.device())});
    }
  }
  void commit() noexcept override {
    for (const Write& w : writes_) {
      try {
        copy_bytes(w.to, w.device, w.source.array().data, w.device, static_cast<std::size_t>(w.source.bytes()));
      } catch (...) {  // a device that has failed: whoever uses it next is told
      }
    }
    writes_.clear();
  }

 private:
  struct Write {
    void* to;
    Device device;
    Tensor source;
  };
  std::string prefix_;
  ModuleRef module_;
  std::vector<Write> writes_;
};

// ---- optimizers

class OptimizerPart final : public CheckpointPart {
 public:
  OptimizerPart(std::string prefix, Optimizer& optimizer, const ModuleRef& module)
      : prefix_(std::move(prefix)), optimizer_(optimizer), module_(module) {}
  void save(TensorFile& file) const override;
  void check(CheckpointReader& file) override;
  void commit() noexcept override {
    optimizer_.take(std::move(*loaded_));
    loaded_.reset();
  }

 private:
  std::string prefix_;
  Optimizer& optimizer_;
  ModuleRef module_;
  std::unique_ptr<Optimizer> loaded_;
};

void save_state(TensorFile& file, const std::string& prefix, const Optimizer& optimizer, const OptimizerState& state) {
  for (int i = 0; i < optimizer.moments(); ++i)
    if (state.moments[i].tensor()) file.tensors.emplace_back(prefix + optimizer.moment_name(i), state.moments[i].tensor());
  if (state.mask.tensor()) file.tensors.emplace_back(prefix + "mask", state.mask.tensor());
  file.tensors.emplace_back(prefix + "steps", Tensor::from({state.steps}, {}));
}

void OptimizerPart::save(TensorFile& file) const {
  file.metadata.emplace_back(prefix_ + "kind", optimizer_.name());
  file.metadata.emplace_back(prefix_ + "steps", text_of(optimizer_.steps()));
  FieldWriter writer(file, prefix_);
  optimizer_.visit_config(writer);
  std::size_t saved = 0;
  for (const NamedTensor& t : named_tensors_of(module_)) {
    const OptimizerState* state = t.is_buffer ? nullptr : optimizer_.state_of(t.tensor);
    if (!state) continue;
    save_state(file, prefix_ + t.name + ".", optimizer_, *state);
    ++saved;
  }
  if (saved != optimizer_.parameters())
    raise_value("[save] '" + prefix_ + "' has state of " + std::to_string(optimizer_.parameters()) +
                " parameters, of which the model has " + std::to_string(saved) +
                "; add a model that has them all, or forget() those that are gone");
}

Tensor own_copy(const Tensor& t, Device device) { return device == t.device() ? t.clone() : t.to(device); }

/// The state of one parameter, or nothing if the file has none.
std::optional<OptimizerState> load_state(CheckpointReader& file, const std::string& prefix, const Optimizer& optimizer,
                                         const Tensor& parameter) {
  const Tensor* steps = file.find_tensor(prefix + "steps");
  if (!steps) return std::nullopt;
  OptimizerState state;
  state.steps = file.tensor_like(prefix + "steps", DType::i64, {}).values<std::int64_t>()[0];
  for (int i = 0; i < optimizer.moments(); ++i) {
    const std::string name = prefix + optimizer.moment_name(i);
    if (file.find_tensor(name))
      state.moments[i] = Buffer(own_copy(file.tensor_like(name, parameter.dtype(), parameter.shape()), parameter.device()));
  }
  if (file.find_tensor(prefix + "mask"))
    state.mask = Buffer(own_copy(file.tensor_like(prefix + "mask", parameter.dtype(), parameter.shape()), parameter.device()));
  return state;
}

void OptimizerPart::check(CheckpointReader& file) {
  const std::string& kind = file.text(prefix_ + "kind");
  if (kind != optimizer_.name()) file.fail("'" + prefix_ + "kind' is " + kind + "; expected " + optimizer_.name());
  loaded_ = optimizer_.without_state();
  FieldReader reader(file, prefix_);
  loaded_->visit_config(reader);
  Vec<std::uint64_t> ids;
  Vec<OptimizerState> states;
  for (const NamedTensor& t : named_tensors_of(module_)) {
    if (t.is_buffer) continue;
    std::optional<OptimizerState> state = load_state(file, prefix_ + t.name + ".", *loaded_, t.tensor);
    if (!state) continue;
    ids.push_back(t.tensor.id());
    states.push_back(std::move(*state));
  }
  loaded_->replace_state(file.number<std::int64_t>(prefix_ + "steps"), std::move(ids), std::move(states));
}

// ---- values

/// A value that is one metadata string.
template <class T> class TextPart final : public CheckpointPart {
 public:
  TextPart(std::string name, T& value) : name_(std::move(name)), value_(value) {}
  void save(TensorFile& file) const override { file.metadata.emplace_back(name_, to_text(value_)); }
  void check(CheckpointReader& file) override { loaded_ = from_text(file, T{}); }
  void commit() noexcept override { value_ = std::move(loaded_); }

 private:
  static std::string to_text(std::int64_t value) { return text_of(value); }
  static std::string to_text(double value) { return text_of(value); }
  static std::string to_text(const std::string& value) { return value; }
  static std::string to_text(const Generator& g) { return text_of(g.seed()) + " " + text_of(g.counter()); }
  template <class Number> Number from_text(CheckpointReader& file, Number) const { return file.number<Number>(name_); }
  std::string from_text(CheckpointReader& file, std::string) const { return file.text(name_); }
  Generator from_text(CheckpointReader& file, Generator) const {
    const std::string& text = file.text(name_);
    const std::size_t space = text.find(' ');
    std::uint64_t seed = 0, counter = 0;
    if (space == std::string::npos || !CheckpointReader::read_number(text.substr(0, space), seed) ||
        !CheckpointReader::read_number(text.substr(space + 1), counter))
      file.fail("metadata '" + name_ + "' is '" + text + "'; expected a generator's seed and counter");
    return {seed, counter};
  }
  std::string name_;
  T& value_;
  T loaded_{};
};

class TensorPart final : public CheckpointPart {
 public:
  TensorPart(std::string name, Tensor& value) : name_(std::move(name)), value_(value) {}
  void save(TensorFile& file) const override {
    if (value_) file.tensors.emplace_back(name_, value_);
  }
  void check(CheckpointReader& file) override {
    const Tensor* t = file.find_tensor(name_);
    if (t && value_ && t->dtype() != value_.dtype())
      file.fail("tensor '" + name_ + "' is " + name_of(t->dtype()) + "; expected " + name_of(value_.dtype()));
    loaded_ = t ? own_copy(*t, value_ ? value_.device() : Device::cpu) : Tensor();
  }
  void commit() noexcept override { value_ = std::move(loaded_); }

 private:
  std::string name_;
  Tensor& value_;
  Tensor loaded_;
};

template <class T> class VectorPart final : public CheckpointPart {
 public:
  VectorPart(std::string name, std::vector<T>& values) : name_(std::move(name)), values_(values) {}
  void save(TensorFile& file) const override {
    file.tensors.emplace_back(name_, Tensor::from(values_, {static_cast<std::int64_t>(values_.size())}));
  }
  void check(CheckpointReader& file) override {
    const Tensor& t = file.tensor(name_);
    loaded_ = file.tensor_like(name_, dtype_of<T>, {t.elements()}).template to_vector<T>();
  }
  void commit() noexcept override { values_ = std::move(loaded_); }

 private:
  std::string name_;
  std::vector<T>& values_;
  std::vector<T> loaded_;
};

constexpr char kFormatKey[] = "gradus.checkpoint";
constexpr char kFormat[] = "1";

}  // namespace

void save_module(const std::string& path, const ModuleRef& model) {
  TensorFile file;
  ModulePart("", model).save(file);
  write_safetensors(path, file);
}

void load_module(const std::string& path, const ModuleRef& model) {
  const TensorFile file = read_safetensors(path);
  CheckpointReader reader(file, path);
  ModulePart part("", model);
  part.check(reader);
  reader.require_all_tensors_claimed();
  part.commit();
}

}  // namespace detail

Checkpoint::Checkpoint() = default;
Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

void Checkpoint::add_part(const std::string& name, std::unique_ptr<detail::CheckpointPart> part) {
  if (name.empty() || name.find('.') != std::string::npos)
    raise_value("[checkpoint] '" + name + "' cannot name a part; expected some characters and no dot");
  if (std::find(names_.begin(), names_.end(), name) != names_.end()) raise_value("[checkpoint] two parts are named '" + name + "'");
  names_.push_back(name);
  parts_.push_back(std::move(part));
}

void Checkpoint::add_module(const std::string& name, const ModuleRef& module) {
  add_part(name, std::make_unique<detail::ModulePart>(name + ".", module));
}
void Checkpoint::add_optimizer(const std::string& name, Optimizer& optimizer, const ModuleRef& module) {
  add_part(name, std::make_unique<detail::OptimizerPart>(name + ".", optimizer, module));
}
void Checkpoint::add(const std::string& name, Generator& generator) {
  add_part(name, std::make_unique<detail::TextPart<Generator>>(name, generator));
}
void Checkpoint::add(const std::string& name, std::int64_t& value) {
  add_part(name, std::make_unique<detail::TextPart<std::int64_t>>(name, value));
}
void Checkpoint::add(const std::string& name, double& value) { add_part(name, std::make_unique<detail::TextPart<double>>(name, value)); }
void Checkpoint::add(const std::string& name, std::string& value) {
  add_part(name, std::make_unique<detail::TextPart<std::string>>(name, value));
}
void Checkpoint::add(const std::string& name, Tensor& value) { add_part(name, std::make_unique<detail::TensorPart>(name, value)); }
void Checkpoint::add(const std::string& name, std::vector<std::int64_t>& values) {
  add_part(name, std::make_unique<detail::VectorPart<std::int64_t>>(name, values));
}
void Checkpoint::add(const std::string& name, std::vector<double>& values) {
  add_part(name, std::make_unique<detail::VectorPart<double>>(name, values));
}

TensorFile Checkpoint::to_file() const {
  TensorFile file;
  file.metadata.emplace_back(detail::kFormatKey, detail::kFormat);
  for (const auto& part : parts_) part->save(file);
  return file;
}

void Checkpoint::save(const std::string& path) const { write_safetensors(path, to_file()); }

void Checkpoint::load(const TensorFile& file, const std::string& origin) {
  detail::CheckpointReader reader(file, origin);
  if (reader.text(detail::kFormatKey) != detail::kFormat)
    reader.fail("checkpoint format " + reader.text(detail::kFormatKey) + " is not known; expected " + detail::kFormat);
  for (const auto& part : parts_) part->check(reader);
  reader.require_all_tensors_claimed();
  reader.require_all_metadata_claimed();
  for (const auto& part : parts_) part->commit();
}

void Checkpoint::load(const std::string& path) { load(read_safetensors(path), path); }

bool Checkpoint::try_load(const std::string& path, std::string* error) noexcept {
  try {
    try {
      load(path);
      return true;
    } catch (const std::exception& e) {
      if (error) error->assign(e.what());
    }
  } catch (...) {  // no memory even for the text
    if (error) error->clear();
  }
  return false;
}

}  // namespace gradus::inline v0
