#include <gradus/algorithms/meta/fomaml.h>

namespace gradus::inline v0 {

void FomamlConfig::visit(FieldVisitor& v) {
  v.field("inner_lr", inner_lr, "step size of the inner loop", "0.01 (sinusoid)");
  v.field("inner_steps", inner_steps, "gradient steps of the inner loop", "1 (sinusoid)");
  v.choice("mode", mode, {"transductive", "inference"}, "batch norm and dropout inside a task", "transductive");
}

MetaReport fomaml_step(const Module& model, Optimizer& optimizer, std::span<const Task> tasks, const LossFunction& loss,
                       const FomamlConfig& config, Key key) {
  return maml_step(model, optimizer, tasks, loss, config.as_maml(), key);
}

}  // namespace gradus::inline v0
