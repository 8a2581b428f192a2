#include <gradus/nn/module.h>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {

bool Visitor::enter(const char*, int, const ModuleRef&) { return true; }
void Visitor::leave() {}

namespace {

/// Parameters once each: almost always a few dozen, so a scan is the cheapest set.
struct CollectParameters final : Visitor {
  TensorList found;
  void parameter(const char*, Parameter& p) override {
    for (const Tensor& t : found)
      if (t.id() == p.tensor().id()) return;
    found.push_back(p);
  }
  void buffer(const char*, Buffer&) override {}
};

/// Keeps the dotted path of where the walk is.
struct PathVisitor : Visitor {
  std::vector<std::string> path;
  bool enter(const char* name, int index, const ModuleRef&) override {
    path.push_back(std::string(name) + (index >= 0 ? "." + std::to_string(index) : ""));
    return true;
  }
  void leave() override { path.pop_back(); }
  std::string full(const char* name) const {
    std::string text;
    for (const std::string& part : path) text += part + ".";
    return text + name;
  }
};

struct CollectNamed final : PathVisitor {
  NamedTensors found;
  void add(NamedTensor t) {
    for (const NamedTensor& seen : found)
      if (seen.tensor.id() == t.tensor.id()) return;
    found.push_back(std::move(t));
  }
  void parameter(const char* name, Parameter& p) override { add({full(name), p, p.role(), false}); }
  void buffer(const char* name, Buffer& b) override { add({full(name), b, Role::weight, true}); }
};

struct CollectChildren final : Visitor {
  std::vector<std::pair<std::string, ModuleRef>> found;
  void parameter(const char*, Parameter&) override {}
  void buffer(const char*, Buffer&) override {}
  bool enter(const char* name, int index, const ModuleRef& child) override {
    found.emplace_back(std::string(name) + (index >= 0 ? "." + std::to_string(index) : ""), child);
    return false;
  }
};

/// Other tensors in the place of a module's own; what was shared stays shared.
template <class F> struct Replace final : Visitor {
  explicit Replace(F make) : make_for(std::move(make)) {}
  F make_for;  // a new tensor for an old one, or an empty one: leave it
  std::vector<std::pair<std::uint64_t, Tensor>> done;
  void replace(detail::OwnedTensor& owned) {
    const Tensor old = owned.tensor();
    if (!old) return;
    for (const auto& pair : done)
      if (pair.first == old.id()) return owned.replace(pair.second);
    const Tensor made = make_for(old);
    if (!made) return;
    done.emplace_back(old.id(), made);
    owned.replace(made);
  }
  void parameter(const char*, Parameter& p) override { replace(p); }
  void buffer(const char*, Buffer& b) override { replace(b); }
};

struct Substitute final : Visitor {
  explicit Substitute(std::span<const Tensor> v) : values(v) {}
  std::span<const Tensor> values;
  std::size_t next = 0;
  struct Place {
    std::uint64_t id;
    std::size_t value;
  };
  Vec<Place> seen;

  void parameter(const char* name, Parameter& p) override {
    for (const Place& place : seen)
      if (place.id == p.tensor().id()) return p.replace(values[place.value]);
    if (next == values.size())
      raise_value("[bind] " + std::to_string(values.size()) + " values for a model with more parameters; the next is " + describe(name, p));
    const Tensor& value = values[next];
    require_same_dtype("bind", name, p, "value", value);
    require_same_shape("bind", name, p, "value", value);
    seen.push_back({p.tensor().id(), next++});
    p.replace(value);
  }
  void buffer(const char*, Buffer&) override {}
};

const char* name_of(Role role) {
  switch (role) {
    case Role::weight: return "weight";
    case Role::bias: return "bias";
    case Role::norm: return "norm";
    case Role::embedding: return "embedding";
  }
  return "?";
}

}  // namespace

TensorList parameters_of(const ModuleRef& module) {
  CollectParameters visitor;
  module.visit(visitor);
  return std::move(visitor.found);
}

NamedTensors named_tensors_of(const ModuleRef& module) {
  CollectNamed visitor;
  module.visit(visitor);
  return std::move(visitor.found);
}

std::vector<std::pair<std::string, ModuleRef>> children_of(const ModuleRef& module) {
  CollectChildren visitor;
  module.visit(visitor);
  return std::move(visitor.found);
}

void convert_module(const ModuleRef& module, DType dtype) {
  if (!is_floating(dtype)) raise_dtype(std::string("[to] ") + gradus::name_of(dtype) + " is not a type to compute in; expected f32 or f64");
  Replace visitor([dtype](const Tensor& old) {
    if (!is_floating(old.dtype()) || old.dtype() == dtype) return Tensor();
    Tensor converted = Tensor::empty(old.shape(), dtype, old.device());
    GRADUS_RUN(old.device(), cast, fresh(converted), old.array());
    return converted;
  });
  module.visit(visitor);
}

void move_module(const ModuleRef& module, Device device) {
  Replace visitor([device](const Tensor& old) { return old.device() == device ? Tensor() : old.to(device); });
  module.visit(visitor);
}

void substitute_parameters(const ModuleRef& module, std::span<const Tensor> values) {
  Substitute visitor(values);
  module.visit(visitor);
  if (visitor.next != values.size())
    raise_value("[bind] " + std::to_string(values.size()) + " values for a model with " + std::to_string(visitor.next) + " parameters");
}

std::string describe_module(const ModuleRef& module) {
  std::string text;
  std::int64_t count = 0;
  for (const NamedTensor& t : named_tensors_of(module)) {
    text += t.name + "  " + gradus::name_of(t.tensor.dtype()) + gradus::to_string(t.tensor.shape()) + "  " +
            (t.is_buffer ? "buffer" : name_of(t.role)) + "\n";
    if (!t.is_buffer) count += t.tensor.elements();
  }
  return text + std::to_string(count) + " parameters\n";
}

void Module::require_module() const {
  if (!holder_) raise_value("[module] an empty Module was called; assign a module first");
}

}  // namespace gradus::inline v0
