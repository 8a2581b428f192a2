#include <gradus/algorithms/experiments/program/snapshot.h>

#include <gradus/algorithms/experiments/program/checkpoint.h>

namespace gradus::experiments {
namespace {

template <class Named> void add_named(Named& whole, const std::string& prefix, const Named& part) {
  for (const auto& item : part) whole.emplace_back(prefix + "/" + item.first, item.second);
}

template <class Named> Named named_part(const Named& whole, const std::string& prefix) {
  const std::string start = prefix + "/";
  Named part;
  for (const auto& item : whole)
    if (item.first.rfind(start, 0) == 0) part.emplace_back(item.first.substr(start.size()), item.second);
  return part;
}

}  // namespace

TensorFile snapshot_of(const State& state, bool copied) {
  gradus::Checkpoint parts;
  Checkpoint visit(parts);
  state(visit);
  TensorFile file = parts.to_file();
  if (copied)
    for (auto& item : file.tensors) item.second = item.second.clone();
  return file;
}

void restore(const State& state, const TensorFile& snapshot, const std::string& origin) {
  gradus::Checkpoint parts;
  Checkpoint visit(parts);
  state(visit);
  parts.load(snapshot, origin);
}

void add_part(TensorFile& whole, const std::string& prefix, const TensorFile& part) {
  add_named(whole.tensors, prefix, part.tensors);
  add_named(whole.metadata, prefix, part.metadata);
}

TensorFile part_of(const TensorFile& whole, const std::string& prefix) {
  return {named_part(whole.tensors, prefix), named_part(whole.metadata, prefix)};
}

}  // namespace gradus::experiments
