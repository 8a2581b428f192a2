// Contrastive losses without the matrix of scores: InfoNCE over a set of keys or a queue of negatives (MoCo), its symmetric form (CLIP),
// NT-Xent (SimCLR), and the supervised form (SupCon), whose anchors have any number of positives.
//
// Scores are s_ij = <query_i, key_j> / temperature. An *anchor* is a row or a column of s that ranks its one positive against its
// negatives, the other allowed entries. With p = softmax over the positive and the negatives,
//   loss = -log p_positive = softplus(lse_negatives - s_positive),   lse = s_positive + loss = log sum exp over all of them.
// The softplus form keeps the gradient's relative accuracy when the pairs are aligned and the loss is far below one, where
// lse - s_positive and p - 1 cancel (at temperature 0.07 in f32: 5e-6 against 4e-4).
//
// An anchor with |P| > 1 positives has the loss lse - mean of its positives' scores, lse over all other rows: it is log |P| at the least,
// so that nothing is lost to cancellation. Without any positive (|P| = 0) its loss and gradient are 0.
//
// Per anchor only `loss` and `lse` are kept; every kernel makes the scores anew, one tile at a time. A mask that forbids every key of an
// anchor, or all but its positive, gives loss 0 and gradient 0. Sources: van den Oord et al. 2018, eq. 4 (InfoNCE); He et al. 2020, eq. 1
// (queue); Chen et al. 2020, eq. 1 (NT-Xent); Radford et al. 2021, fig. 3 (symmetric form); Khosla et al. 2020, eq. 2 (supervised).
#pragma once

#include <cstddef>
#include <cstdint>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// Who is compared with whom.
enum class ContrastiveForm : std::uint8_t {
  key_set,    // B anchors: query i against all M keys, of which positive_index[i] is its positive
  queue,      // B anchors: query i's positive is row i of `positive`, its negatives are the M keys
  symmetric,  // 2B anchors, the B queries and then the B = M keys: query i and key i are each other's positive
  nt_xent,    // 2N anchors: query = key = z [2N, D]; row i against all other rows, of which (i + N) mod 2N is its positive
  supervised  // B anchors: query = key = z [B, D]; row i against all other rows, of which those with its label are its positives
};

/// Whether the rows are compared with each other: query = key, and a pair serves both of its rows.
GRADUS_INLINE constexpr bool compares_own_rows(ContrastiveForm form) {
  return form == ContrastiveForm::nt_xent || form == ContrastiveForm::supervised;
}

/// The operands of one loss: f32 or f64, all of one type.
struct Contrastive {
  ContrastiveForm form = ContrastiveForm::key_set;
  ConstArray query;           // [B, D]
  ConstArray key;             // [M, D]; for nt_xent and supervised the query again
  ConstArray temperature;     // one element, > 0
  ConstArray positive_index;  // key_set: i64 [B], each in [0, M)
  ConstArray positive;        // queue: [B, D]
  ConstArray mask;            // optional, for the first three forms: bool [B, M], true where the pair is allowed
  ConstArray labels;          // supervised: i64 [B], of any values
};

/// Where gradients go: those of query, key, positive (queue) and temperature, with their shapes. Any may be absent (null data), but
/// temperature's needs query's. For nt_xent and supervised query's is the whole gradient of z, and key's is absent.
struct ContrastiveGradients {
  Array query, key, positive, temperature;
};

/// Cotangents of such gradients. Any may be absent, which is zero.
struct ContrastiveCotangents {
  ConstArray query, key, positive, temperature;
};

/// The number of anchors: the length of loss, lse and dloss.
GRADUS_INLINE std::int64_t anchors_of(const Contrastive& x) {
  const std::int64_t rows = (*x.query.shape)[0];
  return x.form == ContrastiveForm::symmetric ? 2 * rows : rows;
}

// Scratch on the CPU: at most 28 bytes an anchor in f32 (40 in f64), and 1 MiB a thread of the pool that is current when the size is asked
// for. On a GPU: what blocks that share a row have summed, so much that from 16 rows on it takes at most 64 (B + M) bytes with loss and
// lse. Bits depend on the operands alone on either device, not on threads, blocks or their order; those of the two devices differ.
namespace cpu {
std::size_t contrastive_workspace_bytes(const Contrastive& x);
std::size_t contrastive_backward_workspace_bytes(const Contrastive& x);
std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& x);

/// loss and lse [anchors]. An anchor whose positive is masked has loss +inf if any negative is allowed (see unreachable_positive).
void contrastive(Array loss, Array lse, const Contrastive& x, Workspace workspace);

/// d = the gradients of sum(dloss * loss):
///   G_ij = dloss_i (p_ij - [j positive] / |P_i|),  d.query = G key / temperature,  d.key = G^T query / temperature,
///   d.temperature = -sum_ij G_ij s_ij / temperature = -sum_i <query_i, d.query_i> / temperature (half of that if it is z's gradient)
void contrastive_backward(const ContrastiveGradients& d, ConstArray dloss, ConstArray loss, ConstArray lse, const Contrastive& x,
                          Workspace workspace);

/// ddloss and dd = the gradients of <u, d>, the inner product of cotangents u with the result d of contrastive_backward, which is a
/// function of dloss, query, key, positive and temperature. Closed form, in two sweeps over the tiles:
///   t_ij = (<u.query_i, key_j> + <query_i, u.key_j> - u.temperature s_ij) / temperature
///   ddloss_i = sum_j p_ij (t_ij - mean of t over the positives),  W_ij = dloss_i p_ij (t_ij - mean of t under p_i)
/// and W takes the place of G in the formulas above, beside the terms in G itself.
void contrastive_double_backward(Array ddloss, const ContrastiveGradients& dd, const ContrastiveCotangents& u, ConstArray dloss,
                                 ConstArray loss, ConstArray lse, const Contrastive& x, Workspace workspace);

/// The first anchor whose positive is masked although a negative is allowed, so that its loss is infinite; -1 if there is none.
std::int64_t unreachable_positive(const Contrastive& x);
}  // namespace cpu

namespace cuda {
std::size_t contrastive_workspace_bytes(const Contrastive& x);
std::size_t contrastive_backward_workspace_bytes(const Contrastive& x);
std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& x);
void contrastive(Array loss, Array lse, const Contrastive& x, Workspace workspace);
void contrastive_backward(const ContrastiveGradients& d, ConstArray dloss, ConstArray loss, ConstArray lse, const Contrastive& x,
                          Workspace workspace);
void contrastive_double_backward(Array ddloss, const ContrastiveGradients& dd, const ContrastiveCotangents& u, ConstArray dloss,
                                 ConstArray loss, ConstArray lse, const Contrastive& x, Workspace workspace);
std::int64_t unreachable_positive(const Contrastive& x);
}  // namespace cuda

}  // namespace gradus::inline v0
