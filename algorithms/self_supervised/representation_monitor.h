// Is this collapse? Statistics of embeddings and the alarms that name a cause.
//
// All of it is computed from the train-mode z of a step, which is at hand; eval-mode z of an untrained network shows cosine .999 in every
// run and says nothing. Thresholds were set between healthy and failing runs on 8x8 digits.
#pragma once

#include <string>
#include <vector>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// Of unit vectors z [B, d] (any u is normalised first).
struct RepresentationStats {
  double std_sqrt_d = 0;      ///< mean over dimensions of std(z), times sqrt(d): 1 is isotropic, 0 collapsed
  double mean_cosine = 0;     ///< mean off-diagonal cosine: (|sum z|^2 - B) / (B (B - 1))
  double effective_rank = 0;  ///< exp(entropy of the singular values of centred z, normalised to sum 1); Roy and Vetterli 2007
};
/// u [B, d], f32 or f64, B >= 2. Throws ShapeError, DTypeError.
RepresentationStats representation_stats(const Tensor& u);

/// What one contrastive step shows.
struct ContrastiveStats {
  double loss = 0;
  double bound = 0,
         ceiling = 0;          ///< log(2N - 1) - loss and log(2N - 1): the mutual-information bound (van den Oord 2018, eq. 4) and its top
  double positive_cosine = 0;  ///< mean cosine of the two views of an image
  RepresentationStats z;
  /// (positive - mean) / (1 - mean): how much closer the views of one image are than two images.
  double alignment() const { return (positive_cosine - z.mean_cosine) / (1 - z.mean_cosine); }
};

/// A monitor's word on a run.
struct Finding {
  std::string name;
  double value = 0, threshold = 0;
  bool alarm = false;
  std::string advice;  ///< what to do, when it is an alarm
};

/// Watches a contrastive run of `total_steps` steps at N images a batch and temperature T.
class RepresentationMonitor {
 public:
  RepresentationMonitor(std::int64_t total_steps, std::int64_t images, double temperature);
  /// One logged step, in order; step 0 is the untrained network.
  void observe(std::int64_t step, const ContrastiveStats& stats);
  /// collapse, weak_views (at step 0), weak_views_bound (first 20 %), batch_too_small (at the end): each with what it saw.
  std::vector<Finding> findings() const;

 private:
  bool past(std::int64_t step, double share) const { return static_cast<double>(step) >= share * static_cast<double>(total_); }
  std::int64_t total_, images_;
  double temperature_;
  int collapsed_steps_ = 0, longest_collapse_ = 0;
  double worst_cosine_ = 0, first_alignment_ = 0, early_share_ = 0, last_share_ = 0;
};

}  // namespace gradus::inline v0
