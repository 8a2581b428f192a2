#include <gradus/algorithms/experiments/program/checkpoint.h>

#include <charconv>

#include <gradus/kernels/error.h>
#include <gradus/nn/safetensors.h>

namespace gradus::experiments {
namespace {

[[noreturn]] void raise_missing(const std::string& name) { raise_io("the checkpoint has no value '" + name + "'"); }
[[noreturn]] void raise_unreadable(const std::string& name, const std::string& text) {
  raise_io("the checkpoint's value '" + name + "' is not of the kind wanted: '" + text + "'");
}

template <class Map> auto find_in(const Map& map, const std::string& name) {
  const auto found = map.find(name);
  if (found == map.end()) raise_missing(name);
  return found;
}

}  // namespace

void Snapshot::add(const std::string& prefix, const Snapshot& part) {
  for (const auto& item : part.tensors) tensors[prefix + "/" + item.first] = item.second;
  for (const auto& item : part.texts) texts[prefix + "/" + item.first] = item.second;
}

Snapshot Snapshot::part(const std::string& prefix) const {
  Snapshot result;
  const std::string start = prefix + "/";
  for (const auto& item : tensors)
    if (item.first.rfind(start, 0) == 0) result.tensors[item.first.substr(start.size())] = item.second;
  for (const auto& item : texts)
    if (item.first.rfind(start, 0) == 0) result.texts[item.first.substr(start.size())] = item.second;
  return result;
}

void save_snapshot(const std::string& path, const Snapshot& snapshot) {
  write_safetensors(path, {{snapshot.tensors.begin(), snapshot.tensors.end()}, {snapshot.texts.begin(), snapshot.texts.end()}});
}

Snapshot load_snapshot(const std::string& path) {
  const TensorFile file = read_safetensors(path);
  return {{file.tensors.begin(), file.tensors.end()}, {file.metadata.begin(), file.metadata.end()}};
}

const std::string& Checkpoint::text(const std::string& name) const { return find_in(snapshot_.texts, name)->second; }
const Tensor& Checkpoint::tensor(const std::string& name) const { return find_in(snapshot_.tensors, name)->second; }

// Decimal text that reads back as the same number.
template <class Number> void Checkpoint::number(const std::string& name, Number& value) {
  char digits[64];  // the longest shortest form of a double has 24 characters
  if (!restoring_) {
    snapshot_.texts[name] = std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    return;
  }
  const std::string& saved = text(name);
  const auto result = std::from_chars(saved.data(), saved.data() + saved.size(), value);
  if (result.ec != std::errc() || result.ptr != saved.data() + saved.size()) raise_unreadable(name, saved);
}

void Checkpoint::operator()(const std::string& name, double& value) { number(name, value); }
void Checkpoint::operator()(const std::string& name, std::int64_t& value) { number(name, value); }
void Checkpoint::operator()(const std::string& name, int& value) { number(name, value); }

void Checkpoint::operator()(const std::string& name, bool& value) {
  int word = value;
  number(name, word);
  value = word != 0;
}

void Checkpoint::operator()(const std::string& name, std::string& value) {
  if (restoring_) value = text(name);
  else snapshot_.texts[name] = value;
}

void Checkpoint::operator()(const std::string& name, std::vector<double>& values) {
  if (!restoring_) {
    snapshot_.tensors[name] = Tensor::from(values, {static_cast<std::int64_t>(values.size())});
    return;
  }
  const Tensor& saved = tensor(name);
  if (saved.dtype() != DType::f64) raise_unreadable(name, to_string(saved));
  values = saved.to_vector<double>();
}

void Checkpoint::operator()(const std::string& name, Generator& generator) {
  // Both words as signed numbers of the same bits: safetensors readers know no u64 everywhere, decimal text knows all.
  auto seed = static_cast<std::int64_t>(generator.seed()), counter = static_cast<std::int64_t>(generator.counter());
  number(name + ".seed", seed);
  number(name + ".counter", counter);
  if (restoring_) generator = Generator(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(counter));
}

void Checkpoint::operator()(const std::string& name, Loader& loader) {
  Loader::Position position = loader.position();
  number(name + ".epoch", position.epoch);
  number(name + ".batch", position.batch);
  if (restoring_) loader.seek(position);
}

void Checkpoint::operator()(const std::string& name, Tensor& value) {
  if (restoring_) value = tensor(name);
  else snapshot_.tensors[name] = copy_ ? value.clone() : value;
}

void Checkpoint::tensors_of(const std::string& name, const NamedTensors& tensors) {
  for (const NamedTensor& item : tensors) {
    const std::string full = name + "." + item.name;
    if (restoring_) assign(item.tensor, tensor(full));
    else snapshot_.tensors[full] = copy_ ? item.tensor.clone() : item.tensor;
  }
}

}  // namespace gradus::experiments
