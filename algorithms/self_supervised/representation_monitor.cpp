#include <gradus/algorithms/self_supervised/representation_monitor.h>

#include <algorithm>
#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/linalg.h>

namespace gradus::inline v0 {
namespace {

/// exp(entropy of the singular values of `centred`), from the d x d second moments.
double effective_rank(const Tensor& centred) {
  const Tensor moments = matmul(centred, centred, {.transpose_a = true});
  Tensor eigenvalues = Tensor::empty({moments.size(0)}, DType::f64);
  cpu::symmetric_eigenvalues(fresh(eigenvalues), moments.array());
  double sum = 0, entropy = 0;
  std::vector<double> singular;
  for (const double e : eigenvalues.values<double>()) singular.push_back(std::sqrt(std::fmax(e, 0)));
  for (const double s : singular) sum += s;
  for (const double s : singular)
    if (s > 0) entropy -= s / sum * std::log(s / sum);
  return sum > 0 ? std::exp(entropy) : 0;
}

}  // namespace

RepresentationStats representation_stats(const Tensor& u) {
  require_floating("representation_stats", "u", u);
  require_rank("representation_stats", "u", u, 2);
  if (u.size(0) < 2) raise_shape("[representation_stats] " + describe("u", u) + ": expected at least two rows");
  const NoGrad diagnostics;
  const Tensor z = l2_normalize(cast(u.to(Device::cpu), DType::f64), 1);
  const auto b = static_cast<double>(z.size(0)), d = static_cast<double>(z.size(1));
  const Tensor centre = mean(z, {0}), centred = z - centre;
  RepresentationStats stats;
  stats.std_sqrt_d = mean(sqrt(mean(square(centred), {0}))).item() * std::sqrt(d);
  stats.mean_cosine = (sum(square(centre)).item() * b * b - b) / (b * (b - 1));
  stats.effective_rank = effective_rank(centred);
  return stats;
}

RepresentationMonitor::RepresentationMonitor(std::int64_t total_steps, std::int64_t images, double temperature)
    : total_(total_steps), images_(images), temperature_(temperature) {}

void RepresentationMonitor::observe(std::int64_t step, const ContrastiveStats& s) {
  if (step == 0) first_alignment_ = s.alignment();
  const double share = s.ceiling > 0 ? s.bound / s.ceiling : 0;
  if (!past(step, 0.2)) early_share_ = std::max(early_share_, share);
  last_share_ = share;
  if (!past(step, 0.05)) return;
  worst_cosine_ = std::max(worst_cosine_, s.z.mean_cosine);
  collapsed_steps_ = s.z.mean_cosine > 0.95 && s.z.std_sqrt_d < 0.22 ? collapsed_steps_ + 1 : 0;
  longest_collapse_ = std::max(longest_collapse_, collapsed_steps_);
}

std::vector<Finding> RepresentationMonitor::findings() const {
  const bool weak_at_start = first_alignment_ > 0.8, bound_applies = temperature_ <= 0.2 && images_ >= 32;
  return {
      {"collapse", worst_cosine_, 0.95, longest_collapse_ >= 10,
       "all embeddings point the same way: check negatives, stop-gradient, learning rate"},
      {"weak_views", first_alignment_, 0.8, weak_at_start,
       "an untrained network already tells which views belong together: the augmentation is too weak to teach anything"},
      {"weak_views_bound", early_share_, 0.6, bound_applies && early_share_ > 0.6,
       "the bound nears its ceiling in the first fifth of the run: the views are too easy, strengthen the augmentation"},
      {"batch_too_small", last_share_, 0.7, last_share_ > 0.7, "the bound is close to log(2N - 1): more negatives would teach more"},
  };
}

}  // namespace gradus::inline v0
