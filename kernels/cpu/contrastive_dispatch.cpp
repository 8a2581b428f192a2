// The public names of the contrastive kernels: each calls through the table that this machine can run (see isa.h).
#include <gradus/kernels/cpu/contrastive_table.h>

namespace gradus::inline v0::cpu {

std::size_t contrastive_workspace_bytes(const Contrastive& x) { return contrastive_table().workspace_bytes(x); }

void contrastive(Array loss, Array lse, const Contrastive& x, Workspace workspace) { contrastive_table().forward(loss, lse, x, workspace); }

std::size_t contrastive_backward_workspace_bytes(const Contrastive& x) { return contrastive_table().backward_workspace_bytes(x); }

void contrastive_backward(const ContrastiveGradients& d, ConstArray dloss, ConstArray loss, ConstArray lse, const Contrastive& x,
                          Workspace workspace) {
  contrastive_table().backward(d, dloss, loss, lse, x, workspace);
}

std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& x) {
  return contrastive_table().double_backward_workspace_bytes(x);
}

void contrastive_double_backward(Array ddloss, const ContrastiveGradients& dd, const ContrastiveCotangents& u, ConstArray dloss,
                                 ConstArray loss, ConstArray lse, const Contrastive& x, Workspace workspace) {
  contrastive_table().double_backward(ddloss, dd, u, dloss, loss, lse, x, workspace);
}

namespace {

struct Mask {
  const bool* allowed;
  std::int64_t rows, columns;

  bool any_in_row(std::int64_t i) const {
    for (std::int64_t j = 0; j < columns; ++j)
      if (allowed[i * columns + j]) return true;
    return false;
  }
  bool any_in_column(std::int64_t j) const {
    for (std::int64_t i = 0; i < rows; ++i)
      if (allowed[i * columns + j]) return true;
    return false;
  }
};

}  // namespace

std::int64_t unreachable_positive(const Contrastive& x) {
  if (!x.mask || x.form == ContrastiveForm::queue) return -1;  // a queue's mask is about negatives only
  const Mask mask{x.mask.as<bool>(), (*x.mask.shape)[0], (*x.mask.shape)[1]};
  const bool symmetric = x.form == ContrastiveForm::symmetric;
  std::int64_t column_anchor = -1;
  for (std::int64_t i = 0; i < mask.rows; ++i) {
    const std::int64_t j = symmetric ? i : x.positive_index.as<std::int64_t>()[i];
    if (mask.allowed[i * mask.columns + j]) continue;
    if (mask.any_in_row(i)) return i;
    if (symmetric && column_anchor < 0 && mask.any_in_column(j)) column_anchor = mask.rows + j;
  }
  return column_anchor;
}

}  // namespace gradus::inline v0::cpu
