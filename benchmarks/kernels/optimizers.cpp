// Optimizer steps: one tensor of 2^20 elements, or a list of sixteen tensors of 2^16.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/optimizer.h>

namespace gradus::costs {
namespace {

const Shape kMillion{1 << 20}, kPart{1 << 16};
constexpr int kParts = 16;
constexpr Bounds kVectors{.streams = true, .sectors = 16};

AdamStep adam_step(bool decoupled) {
  return {.learning_rate = 1e-3,
          .beta1 = 0.9,
          .beta2 = 0.999,
          .epsilon = 1e-8,
          .weight_decay = decoupled ? 0.01 : 0,
          .decoupled = decoupled,
          .correction1 = 0.1,
          .correction2 = 0.001};
}
SgdStep sgd_step() { return {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 1e-4}; }

void add_single(std::vector<Entry>& entries) {
  for (const bool decoupled : {false, true})
    entries.push_back({decoupled ? "adamw [1048576]" : "adam [1048576]",
                       [=](Operands& o) {
                         const auto p = o.inout(kMillion), m = o.inout(kMillion), v = o.inout(kMillion);
                         const auto g = o.in(kMillion);
                         return [=] { cuda::adam(p, m, v, g, {}, adam_step(decoupled)); };
                       },
                       kVectors});
  entries.push_back({"sgd momentum [1048576]",
                     [](Operands& o) {
                       const auto p = o.inout(kMillion), m = o.inout(kMillion);
                       const auto g = o.in(kMillion);
                       return [=] { cuda::sgd(p, m, g, {}, sgd_step()); };
                     },
                     kVectors});
  entries.push_back({"ema [1048576]",
                     [](Operands& o) {
                       const auto target = o.inout(kMillion);
                       const auto source = o.in(kMillion);
                       return [=] { cuda::ema(target, source, 0.99); };
                     },
                     kVectors});
  entries.push_back({"squared_norm [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion);
                       return [=] { cuda::squared_norm(x); };
                     },
                     {}});
}

void add_lists(std::vector<Entry>& entries) {
  entries.push_back({"adam_many 16 x [65536]",
                     [](Operands& o) {
                       std::vector<AdamItem> items;
                       for (int i = 0; i < kParts; ++i) {
                         const auto p = o.inout(kPart), m = o.inout(kPart), v = o.inout(kPart);
                         items.push_back({p, m, v, o.in(kPart), {}, adam_step(true)});
                       }
                       return [=] { cuda::adam_many(items.data(), kParts); };
                     },
                     kVectors});
  entries.push_back({"sgd_many 16 x [65536]",
                     [](Operands& o) {
                       std::vector<SgdItem> items;
                       for (int i = 0; i < kParts; ++i) {
                         const auto p = o.inout(kPart), m = o.inout(kPart);
                         items.push_back({p, m, o.in(kPart), {}, sgd_step()});
                       }
                       return [=] { cuda::sgd_many(items.data(), kParts); };
                     },
                     kVectors});
  entries.push_back({"ema_many 16 x [65536]",
                     [](Operands& o) {
                       std::vector<EmaItem> items;
                       for (int i = 0; i < kParts; ++i) {
                         const auto target = o.inout(kPart);
                         items.push_back({target, o.in(kPart)});
                       }
                       return [=] { cuda::ema_many(items.data(), kParts, 0.99); };
                     },
                     kVectors});
}

}  // namespace

void add_optimizers(std::vector<Entry>& entries) {
  add_single(entries);
  add_lists(entries);
}

}  // namespace gradus::costs
