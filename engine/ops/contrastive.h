// Contrastive losses, fused: memory for the loss and its gradients to second order grows with the number of rows, never with its square.
//
// Each loss compares scores <query, key> / temperature; rows are usually unit vectors (l2_normalize), which no op here enforces. Every
// anchor's loss is the cross-entropy of its positive (the mean over its positives) among its positives and negatives. The temperature is a
// number, or a tensor of one element that may be trained. Gradients reach queries, keys and temperature and are differentiable again: the
// second order is in closed form; from the third on the rules are compositions, which keep the score matrix.
//
// All throw DTypeError (f32 or f64, all operands the same), ShapeError (also where no anchor could have a negative: a loss that is
// silently 0; and for the mean of no anchors) and ValueError for a temperature that is not positive.
#pragma once

#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

struct InfoNceOptions {
  Reduction reduction = Reduction::mean;  ///< over the anchors
  Tensor mask = {};                       ///< bool [B, M], true where query i may be compared with key j; empty: everywhere
};

/// InfoNCE: query [B, D], of which row i belongs to row positive_index[i] (i64 [B]) of key [M, D]; the other rows are its negatives. none
/// gives [B]. A query that is allowed no negative costs 0. Throws IndexError for an index outside [0, M), ValueError if the mask
/// forbids a query's positive but not its negatives.
///
/// van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", eq. 4.
///
///     Tensor loss = info_nce(l2_normalize(q, 1), l2_normalize(k, 1), Tensor::arange(q.size(0)), 0.1);
Tensor info_nce(const Tensor& query, const Tensor& key, const Tensor& positive_index, const Tensor& temperature,
                const InfoNceOptions& options = {});
Tensor info_nce(const Tensor& query, const Tensor& key, const Tensor& positive_index, double temperature,
                const InfoNceOptions& options = {});

/// InfoNCE against a queue: query [B, D] and positive [B, D] row by row, and all rows of queue [M, D] as negatives; options.mask [B, M]
/// says which negatives count. none gives [B].
///
/// He et al. 2020, "Momentum Contrast for Unsupervised Visual Representation Learning", eq. 1.
///
///     Tensor loss = queue_info_nce(q, k.detach(), queue, 0.07);
Tensor queue_info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue, const Tensor& temperature,
                      const InfoNceOptions& options = {});
Tensor queue_info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue, double temperature,
                      const InfoNceOptions& options = {});

/// The symmetric form: query and key [B, D] belong together row by row, and each of the 2B rows is an anchor against the rows of the other
/// side. none gives [2B]: the queries' losses, then the keys'. Throws as info_nce does.
///
/// Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", fig. 3.
///
///     Tensor loss = symmetric_info_nce(images, texts, exp(log_temperature));
Tensor symmetric_info_nce(const Tensor& query, const Tensor& key, const Tensor& temperature, const InfoNceOptions& options = {});
Tensor symmetric_info_nce(const Tensor& query, const Tensor& key, double temperature, const InfoNceOptions& options = {});

/// NT-Xent: z [2N, D] holds the first views and then the second ones; row i belongs to row (i + N) mod 2N, all others but itself are its
/// negatives. none gives [2N]. Throws ShapeError for an odd number of rows and for N = 1, which has no negatives.
///
/// Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations", eq. 1.
///
///     Tensor loss = nt_xent(concat({l2_normalize(u_a, 1), l2_normalize(u_b, 1)}, 0), 0.5);
Tensor nt_xent(const Tensor& z, const Tensor& temperature, Reduction reduction = Reduction::mean);
Tensor nt_xent(const Tensor& z, double temperature, Reduction reduction = Reduction::mean);

/// The supervised contrastive loss: z [B, D] with labels i64 [B] of any values; the positives of a row are all other rows with its label,
/// and every other row counts in its softmax. none gives [B]. A row whose label nobody shares costs 0, yet counts in the mean, as in the
/// authors' code; where that is so of all rows the loss is 0 and no error. Throws ShapeError for one row and for two, where it is always 0.
///
/// Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2.
///
///     Tensor loss = supervised_contrastive(concat({l2_normalize(u_a, 1), l2_normalize(u_b, 1)}, 0), concat({labels, labels}, 0), 0.1);
Tensor supervised_contrastive(const Tensor& z, const Tensor& labels, const Tensor& temperature, Reduction reduction = Reduction::mean);
Tensor supervised_contrastive(const Tensor& z, const Tensor& labels, double temperature, Reduction reduction = Reduction::mean);

}  // namespace gradus::inline v0
