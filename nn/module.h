// Modules: structs that list their members in one `visit`, from which everything else follows.
//
//     struct Linear : ModuleOf<Linear> {
//       Parameter weight, bias;
//       Tensor operator()(const Tensor& x) const { return linear(x, weight, bias); }
//       void visit(Visitor& v) { v("weight", weight); v("bias", bias); }
//     };
//
// Forward is const: mode, random keys and statistics belong to the pass (engine/pass.h). A module is a value: copying copies.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gradus/nn/parameter.h>

namespace gradus::inline v0 {

class Visitor;

namespace detail {
template <class T> inline constexpr char type_tag = 0;  // its address names T without RTTI
}

/// A module somewhere inside another: what bounds, growth and export see.
class ModuleRef {
 public:
  template <class M>
  requires(!std::is_same_v<std::remove_const_t<M>, ModuleRef>)  // of a reference: a copy
      explicit ModuleRef(M& module)
      : object_(&module), tag_(&detail::type_tag<M>), visit_([](void* m, Visitor& v) { static_cast<M*>(m)->visit(v); }) {}
  /// The module as a T, or null if it is something else.
  template <class T> T* as() const { return tag_ == &detail::type_tag<T> ? static_cast<T*>(object_) : nullptr; }
  void visit(Visitor& v) const { visit_(object_, v); }

 private:
  void* object_;
  const char* tag_;
  void (*visit_)(void*, Visitor&);
};

/// Walks a module: override what you need. A parameter that occurs twice is yours to recognise by its id.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(const char* name, Parameter& p) = 0;
  virtual void buffer(const char* name, Buffer& b) = 0;
  /// Around a child; index >= 0 for elements of a list. Returning false from enter skips the child.
  virtual bool enter(const char* name, int index, const ModuleRef& child);
  virtual void leave();

  void operator()(const char* name, Parameter& p) { parameter(name, p); }
  void operator()(const char* name, Buffer& b) { buffer(name, b); }
  template <class M> void operator()(const char* name, M& child) { descend(name, -1, child); }
  template <class M, class A> void operator()(const char* name, std::vector<M, A>& children) {
    int index = 0;
    for (M& child : children) descend(name, index++, child);
  }

 private:
  template <class M> void descend(const char* name, int index, M& child) {
    if (!enter(name, index, ModuleRef(child))) return;
    child.visit(*this);
    leave();
  }
};

/// A parameter or buffer with its dotted name ("layers.0.weight").
struct NamedTensor {
  std::string name;
  Tensor tensor;
  Role role = Role::weight;
  bool is_buffer = false;
};
using NamedTensors = std::vector<NamedTensor>;

// What follows from visit(), for any module. Each parameter occurs once, however often it is used.
TensorList parameters_of(const ModuleRef& module);
NamedTensors named_tensors_of(const ModuleRef& module);  ///< parameters and buffers
std::vector<std::pair<std::string, ModuleRef>> children_of(const ModuleRef& module);
void convert_module(const ModuleRef& module, DType dtype);  ///< floating parameters and buffers; new ids
void move_module(const ModuleRef& module, Device device);   ///< all parameters and buffers; new ids
/// parameters -> values, in order (bind). Throws ShapeError, DTypeError or ValueError naming the parameter.
void substitute_parameters(const ModuleRef& module, std::span<const Tensor> values);
/// One line a parameter: name, type, shape, role; then the count.
std::string describe_module(const ModuleRef& module);

/// Base of a module struct: the functions that follow from its visit().
template <class Self> struct ModuleOf {
  /// Every parameter once, in visiting order; without malloc in steady state.
  TensorList parameters() const { return parameters_of(ref()); }
  NamedTensors named_tensors() const { return named_tensors_of(ref()); }
  std::vector<std::pair<std::string, ModuleRef>> children() const { return children_of(ref()); }
  /// Changes the floating type of parameters and buffers in place; their ids change.
  void to(DType dtype) { convert_module(ref(), dtype); }
  void to(Device device) { move_module(ref(), device); }
  std::string to_string() const { return describe_module(ref()); }

 private:
  friend Self;
  ModuleOf() = default;
  ModuleRef ref() const { return ModuleRef(const_cast<Self&>(static_cast<const Self&>(*this))); }  // visitors that read do not write
};

/// A shallow copy of `model` whose parameters are `values` (MAML's fast weights): cheap, and safe beside other threads' copies. Buffers
/// are shared with the original. Throws ShapeError or DTypeError naming the parameter that does not fit.
///
///     Mlp fast = bind_parameters(model, adapted);
template <class M> M bind_parameters(const M& model, std::span<const Tensor> values) {
  auto copy = [&]() -> M {
    const detail::SharingCopies share;
    return model;
  }();
  substitute_parameters(ModuleRef(copy), values);
  return copy;
}
/// f(bind_parameters(model, values)).
template <class M, class F> auto with_parameters(const M& model, std::span<const Tensor> values, F&& f) {
  const M bound = bind_parameters(model, values);
  return f(bound);
}

/// Any module with `Tensor operator()(const Tensor&) const`, type-erased: what algorithms take. A value: copying copies the module.
///
///     Module encoder = Mlp({64, 128, 64}, rng);
///     Module teacher = encoder;                        // a real copy
class Module : public ModuleOf<Module> {
 public:
  Module() = default;
  template <class M>
  requires(!std::is_same_v<std::remove_cvref_t<M>, Module>) Module(M module) : holder_(std::make_unique<HolderOf<M>>(std::move(module))) {}
  Module(const Module& other) : holder_(other.holder_ ? other.holder_->clone() : nullptr) {}
  Module(Module&&) noexcept = default;
  Module& operator=(const Module& other) {
    Module copy(other);
    holder_ = std::move(copy.holder_);
    return *this;
  }
  Module& operator=(Module&&) noexcept = default;

  explicit operator bool() const { return holder_ != nullptr; }
  Tensor operator()(const Tensor& x) const {
    require_module();
    return holder_->call(x);
  }
  void visit(Visitor& v) {
    if (holder_) holder_->ref().visit(v);
  }
  template <class T> T* as() const { return holder_ ? holder_->ref().template as<T>() : nullptr; }

 private:
  struct Holder {
    virtual ~Holder() = default;
    virtual std::unique_ptr<Holder> clone() const = 0;
    virtual Tensor call(const Tensor& x) const = 0;
    virtual ModuleRef ref() = 0;
  };
  template <class M> struct HolderOf final : Holder {
    explicit HolderOf(M m) : module(std::move(m)) {}
    std::unique_ptr<Holder> clone() const override { return std::make_unique<HolderOf>(*this); }
    Tensor call(const Tensor& x) const override { return module(x); }
    ModuleRef ref() override { return ModuleRef(module); }
    static void* operator new(std::size_t bytes) { return allocate(bytes); }  // a bound copy makes no malloc
    static void operator delete(void* p, std::size_t bytes) { deallocate(p, bytes); }
    M module;
  };
  void require_module() const;
  std::unique_ptr<Holder> holder_;
};

}  // namespace gradus::inline v0
