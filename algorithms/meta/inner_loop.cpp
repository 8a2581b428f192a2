#include <gradus/algorithms/meta/inner_loop.h>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>

namespace gradus::inline v0 {
namespace {

TensorList detached(const TensorList& tensors) {
  TensorList out;
  out.reserve(tensors.size());
  for (const Tensor& t : tensors) out.push_back(t.detach());
  return out;
}

TensorList joined(const TensorList& a, const TensorList& b) {
  TensorList all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

/// The inner loop of one task, and the three ways to differentiate it.
class InnerLoop {
 public:
  InnerLoop(const InnerLoss& support_loss, const InnerLoss& query_loss, const TensorList& initial, const TensorList& shared,
            const TensorList& rates, const InnerLoopConfig& config)
      : support_loss_(support_loss), query_loss_(query_loss), initial_(initial), shared_(shared), rates_(rates), config_(config) {
    if (config.inner_steps < 1) raise_value("[inner_loop] inner_steps is " + std::to_string(config.inner_steps) + "; at least 1");
    if (!rates.empty() && rates.size() != initial.size())
      raise_value("[inner_loop] " + std::to_string(rates.size()) + " rates for " + std::to_string(initial.size()) +
                  " tensors; one each, or none");
  }

  InnerLoopGradient unrolled() {
    Tape tape(joined(joined(initial_, shared_), rates_));
    TensorList theta = initial_;
    for (int k = 0; k < config_.inner_steps; ++k) {
      const Tensor loss = noted(support_loss_(theta, k));
      theta = stepped(theta, tape.gradients(loss, theta, {.create_graph = true}));
    }
    const Tensor loss = query_loss_(theta, config_.inner_steps);
    require_live(tape, loss);
    result_.peak_tape_bytes = tape.stats().peak_bytes;
    const Gradients g = tape.gradients(loss);
    result_.query_loss = loss.detach();
    result_.adapted = detached(theta);
    require_reached(g.values);
    split(g.values);
    return std::move(result_);
  }

  InnerLoopGradient adjoint() {
    std::vector<TensorList> thetas = forward();
    TensorList v = at_the_end(thetas.back());
    if (!rates_.empty()) result_.rates.resize(rates_.size());
    for (int k = config_.inner_steps - 1; k >= 0; --k) sweep_back(thetas[static_cast<std::size_t>(k)], k, v);
    result_.adapted = std::move(thetas.back());
    result_.initial = std::move(v);
    return std::move(result_);
  }

  InnerLoopGradient first_order() {
    std::vector<TensorList> thetas = forward();
    result_.initial = at_the_end(thetas.back());
    result_.adapted = std::move(thetas.back());
    return std::move(result_);
  }

  std::vector<TensorList> forward() {
    std::vector<TensorList> thetas{detached(initial_)};
    for (int k = 0; k < config_.inner_steps; ++k) {
      Tape tape(thetas.back());
      const Tensor loss = noted(support_loss_(thetas.back(), k));
      note_bytes(tape);
      thetas.push_back(detached(stepped(thetas.back(), tape.gradients(loss).values)));
    }
    return thetas;
  }

 private:
  Tensor noted(Tensor loss) {
    result_.support_losses.push_back(loss.item());
    return loss;
  }
  void note_bytes(const Tape& tape) {
    if (tape.stats().peak_bytes > result_.peak_tape_bytes) result_.peak_tape_bytes = tape.stats().peak_bytes;
  }

  Tensor clipped(const Tensor& g) const { return config_.inner_clip > 0 ? clamp(g, -config_.inner_clip, config_.inner_clip) : g; }

  /// theta - alpha o g. A tensor that the loss does not reach stays.
  TensorList stepped(const TensorList& theta, const TensorList& g) const {
    TensorList next;
    next.reserve(theta.size());
    for (std::size_t i = 0; i < theta.size(); ++i) {
      if (!g[i]) next.push_back(theta[i]);
      else if (rates_.empty()) next.push_back(add_scaled(theta[i], clipped(g[i]), -config_.inner_lr));
      else next.push_back(theta[i] - rates_[i] * clipped(g[i]));
    }
    return next;
  }

  void require_live(const Tape& tape, const Tensor& loss) const {
    if (!tape.is_live(loss))
      raise_gradient("[inner_loop] " + describe("the query loss", loss) +
                     " does not depend on the initial parameters: the inner loop was detached");
  }
  /// A parameter that moved in the inner loop but has no meta-gradient: somebody cut the graph.
  void require_reached(const TensorList& values) const {
    bool any = false;
    for (std::size_t i = 0; i < initial_.size(); ++i) any |= static_cast<bool>(values[i]);
    if (!any) raise_gradient("[inner_loop] the query loss reaches none of the initial parameters: the inner loop was detached");
  }

  void split(const TensorList& values) {
    auto at = values.begin();
    for (auto [part, count] :
         {std::pair{&result_.initial, initial_.size()}, {&result_.shared, shared_.size()}, {&result_.rates, rates_.size()}})
      for (std::size_t i = 0; i < count; ++i) part->push_back(*at++);
  }

  /// v = dL_Q/dtheta_K, and phi's direct part.
  TensorList at_the_end(const TensorList& theta) {
    Tape tape(joined(theta, shared_));
    const Tensor loss = query_loss_(theta, config_.inner_steps);
    require_live(tape, loss);
    note_bytes(tape);
    TensorList v = tape.gradients(loss).values;
    require_reached(v);
    result_.query_loss = loss.detach();
    result_.shared.assign(v.begin() + static_cast<std::ptrdiff_t>(theta.size()), v.end());
    v.resize(theta.size());
    return v;
  }

  /// One step of the sweep: v and dphi move from step k + 1 to step k.
  void sweep_back(const TensorList& theta, int k, TensorList& v) {
    Tape tape(joined(theta, shared_));
    const TensorList g = tape.gradients(support_loss_(theta, k), theta, {.create_graph = true});
    Tensor s;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      if (!g[i] || !v[i]) continue;
      const Tensor step = clipped(g[i]);
      const Tensor rated = rates_.empty() ? v[i] * config_.inner_lr : (v[i] * rates_[i]).detach();
      if (!rates_.empty()) {
        const Tensor d = sum_to(step.detach() * v[i] * -1.0, rates_[i].shape());
        result_.rates[i] = result_.rates[i] ? result_.rates[i] + d : d;
      }
      const Tensor dot = sum_to(step * rated, {});
      s = s ? s + dot : dot;
    }
    if (!s || !tape.is_live(s)) return;  // the support loss is linear in everything: its Hessian is zero
    note_bytes(tape);
    const TensorList ds = tape.gradients(s).values;
    for (std::size_t i = 0; i < theta.size(); ++i)
      if (ds[i]) v[i] = v[i] ? v[i] - ds[i] : ds[i] * -1.0;
    for (std::size_t i = 0; i < shared_.size(); ++i)
      if (const Tensor& d = ds[theta.size() + i]) result_.shared[i] = result_.shared[i] ? result_.shared[i] - d : d * -1.0;
  }

  const InnerLoss& support_loss_;
  const InnerLoss& query_loss_;
  const TensorList &initial_, &shared_, &rates_;
  const InnerLoopConfig& config_;
  InnerLoopGradient result_;
};

}  // namespace

InnerLoopGradient inner_loop_gradient(const InnerLoss& support_loss, const InnerLoss& query_loss, const TensorList& initial,
                                      const TensorList& shared, const TensorList& rates, const InnerLoopConfig& config) {
  InnerLoop loop(support_loss, query_loss, initial, shared, rates, config);
  switch (config.differentiate) {
    case Differentiate::unrolled: return loop.unrolled();
    case Differentiate::adjoint: return loop.adjoint();
    case Differentiate::first_order: return loop.first_order();
  }
  raise_value("[inner_loop] unknown way to differentiate");
}

std::vector<TensorList> adapt(const InnerLoss& support_loss, const TensorList& initial, const InnerLoopConfig& config) {
  const InnerLoss no_query;
  const TensorList none;
  return InnerLoop(support_loss, no_query, initial, none, none, config).forward();
}

}  // namespace gradus::inline v0
