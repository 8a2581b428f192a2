#include <gradus/nn/metrics.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

double accuracy(const Tensor& logits, const Tensor& labels) {
  require_floating("accuracy", "logits", logits);
  require_rank("accuracy", "logits", logits, 2);
  require_dtype("accuracy", "labels", labels, DType::i64);
  if (labels.rank() != 1 || labels.size(0) != logits.size(0))
    raise_shape("[accuracy] " + describe("labels", labels) + " for " + describe("logits", logits) + ": expected one per row");
  if (logits.size(0) == 0) return std::nan("");
  const NoGrad metric;
  return mean(cast(argmax(logits, 1) == labels, DType::f64)).item();
}

}  // namespace gradus::inline v0
