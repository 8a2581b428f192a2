// Elementwise functions between layers: as modules for Sequential, and as a choice for models.
#pragma once

#include <gradus/engine/ops/elementwise.h>
#include <gradus/nn/module.h>

namespace gradus::inline v0 {

enum class Activation : std::uint8_t { identity, relu, tanh, gelu, sigmoid, softplus };

/// The function that `activation` names, of x.
inline Tensor activate(Activation activation, const Tensor& x) {
  switch (activation) {
    case Activation::identity: return x;
    case Activation::relu: return relu(x);
    case Activation::tanh: return tanh(x);
    case Activation::gelu: return gelu(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::softplus: return softplus(x);
  }
  return x;
}

// One type each, so that whoever walks a model (bounds, export) can tell them apart with as<Relu>().

struct Relu : ModuleOf<Relu> {
  Tensor operator()(const Tensor& x) const { return relu(x); }
  void visit(Visitor&) {}
};
struct Tanh : ModuleOf<Tanh> {
  Tensor operator()(const Tensor& x) const { return tanh(x); }
  void visit(Visitor&) {}
};
struct Gelu : ModuleOf<Gelu> {
  Tensor operator()(const Tensor& x) const { return gelu(x); }
  void visit(Visitor&) {}
};
struct Sigmoid : ModuleOf<Sigmoid> {
  Tensor operator()(const Tensor& x) const { return sigmoid(x); }
  void visit(Visitor&) {}
};
struct Softplus : ModuleOf<Softplus> {
  Tensor operator()(const Tensor& x) const { return softplus(x); }
  void visit(Visitor&) {}
};

}  // namespace gradus::inline v0
