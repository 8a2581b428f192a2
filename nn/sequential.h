// Modules one after the other.
#pragma once

#include <type_traits>

#include <gradus/nn/module.h>

namespace gradus::inline v0 {

/// y = last(... first(x)). Parameters are named "layers.0.weight", "layers.1.gamma", ...
///
///     Sequential head(Linear(128, 128, rng), BatchNorm(128), Relu(), Linear(128, 64, rng));
struct Sequential : ModuleOf<Sequential> {
  Vec<Module> layers;

  Sequential() = default;
  template <class First, class... More>
  requires(!std::is_same_v<std::remove_cvref_t<First>, Sequential> || sizeof...(More) > 0) explicit Sequential(First first, More... more) {
    layers.reserve(1 + sizeof...(More));
    layers.emplace_back(std::move(first));
    (layers.emplace_back(std::move(more)), ...);
  }
  void add(Module layer) { layers.push_back(std::move(layer)); }

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("layers", layers); }
};

}  // namespace gradus::inline v0
