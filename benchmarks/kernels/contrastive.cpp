// InfoNCE: forward, backward, double backward of NT-Xent, the supervised and the symmetric form and the queue.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/contrastive.h>

namespace gradus::costs {
namespace {

struct Sizes {
  const char* name;
  ContrastiveForm form;
  std::int64_t anchors, queries, keys;
};
constexpr std::int64_t kWidth = 128, kClasses = 10;

Contrastive operands(Operands& o, const Sizes& s) {
  Contrastive x;
  x.form = s.form;
  x.query = o.in({s.queries, kWidth});
  x.key = compares_own_rows(s.form) ? x.query : o.in({s.keys, kWidth});
  if (s.form == ContrastiveForm::queue) x.positive = o.in({s.queries, kWidth});
  if (s.form == ContrastiveForm::supervised) {
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < s.queries; ++i) labels.push_back(i % kClasses);
    x.labels = o.in({s.queries}, labels);
  }
  x.temperature = o.number(0.1f);
  return x;
}
/// Arrays like the operands that have gradients: of a queue the keys have none.
ContrastiveGradients gradients(Operands& o, const Contrastive& x) {
  ContrastiveGradients d;
  d.query = o.out(*x.query.shape);
  if (x.form == ContrastiveForm::symmetric) d.key = o.out(*x.key.shape);
  if (x.form == ContrastiveForm::queue) d.positive = o.out(*x.positive.shape);
  d.temperature = o.out({});
  return d;
}
ContrastiveCotangents cotangents(Operands& o, const Contrastive& x) {
  ContrastiveCotangents u;
  u.query = o.in(*x.query.shape);
  if (x.form == ContrastiveForm::symmetric) u.key = o.in(*x.key.shape);
  return u;
}

/// The passes that follow start from true losses.
void run_forward(Operands& o, Array loss, Array lse, const Contrastive& x) {
  cuda::contrastive(loss, lse, x, o.scratch(cuda::contrastive_workspace_bytes(x)));
}

void add_form(std::vector<Entry>& entries, const Sizes& s) {
  const std::string name = s.name;
  entries.push_back({name + " forward",
                     [=](Operands& o) {
                       const Contrastive x = operands(o, s);
                       const auto loss = o.out({s.anchors}), lse = o.out({s.anchors});
                       const Workspace scratch = o.scratch(cuda::contrastive_workspace_bytes(x));
                       return [=] { cuda::contrastive(loss, lse, x, scratch); };
                     },
                     {}});
  entries.push_back({name + " backward",
                     [=](Operands& o) {
                       const Contrastive x = operands(o, s);
                       const auto dloss = o.in({s.anchors});
                       const auto loss = o.out({s.anchors}), lse = o.out({s.anchors});
                       run_forward(o, loss, lse, x);
                       const ContrastiveGradients d = gradients(o, x);
                       const Workspace scratch = o.scratch(cuda::contrastive_backward_workspace_bytes(x));
                       return [=] { cuda::contrastive_backward(d, dloss, loss, lse, x, scratch); };
                     },
                     {}});
  entries.push_back({name + " double backward",
                     [=](Operands& o) {
                       const Contrastive x = operands(o, s);
                       const auto dloss = o.in({s.anchors});
                       const auto loss = o.out({s.anchors}), lse = o.out({s.anchors});
                       run_forward(o, loss, lse, x);
                       const auto ddloss = o.out({s.anchors});
                       const ContrastiveGradients dd = gradients(o, x);
                       const ContrastiveCotangents u = cotangents(o, x);
                       const Workspace scratch = o.scratch(cuda::contrastive_double_backward_workspace_bytes(x));
                       return [=] { cuda::contrastive_double_backward(ddloss, dd, u, dloss, loss, lse, x, scratch); };
                     },
                     {}});
}

}  // namespace

void add_contrastive(std::vector<Entry>& entries) {
  add_form(entries, {"nt_xent [512, 128]", ContrastiveForm::nt_xent, 512, 512, 512});
  add_form(entries, {"supervised [512, 128], 10 classes", ContrastiveForm::supervised, 512, 512, 512});
  add_form(entries, {"clip [256, 128] x 2", ContrastiveForm::symmetric, 512, 256, 256});
  add_form(entries, {"queue [64, 128] x 2048", ContrastiveForm::queue, 64, 64, 2048});
}

}  // namespace gradus::costs
