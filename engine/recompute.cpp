#include <gradus/engine/functional.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/tape_state.h>

namespace gradus::inline v0 {
namespace {

using State = Tape::State;

struct Replay {
  std::function<Tensor(const TensorList&)> f;
  TensorList inputs;      // f's arguments
  TensorList touched;     // what was live, in the order of the entry's inputs
  bool training = false;  // of the pass around it; no pass is inference
  Key base{};
  std::uint64_t draws = 0;
};

/// The pass as it was when f first ran: same mode, same keys, no second update of statistics.
class ReplayPass {
 public:
  explicit ReplayPass(const Replay& r) {
    state_.training = r.training;
    state_.base = r.base;
    state_.draws = r.draws;
    state_.replaying = true;
  }

 private:
  detail::PassState state_;
  detail::PassScope scope_{state_};
};

Grads to_grads(const TensorList& values) {
  Grads grads;
  for (const Tensor& v : values) grads.push_back(v);
  return grads;
}

/// When the sweep is recorded: f again on the same tape, and its gradient by a recorded sweep inside this one.
Grads recompute_rule(const Entry& e, const Tensor& dy) {
  const Replay& r = e.attrs<Replay>();
  const ReplayPass pass(r);
  const Tensor y = r.f(r.inputs);
  TensorList wanted;
  for (std::size_t i = 0; i < r.touched.size(); ++i)
    if (e.needs(static_cast<int>(i))) wanted.push_back(r.touched[i]);
  const TensorList some = detail::sweep(*e.tape, y, wanted, {.create_graph = true, .seed = dy});
  TensorList all(r.touched.size());
  for (std::size_t i = 0, k = 0; i < all.size(); ++i)
    if (e.needs(static_cast<int>(i))) all[i] = some[k++];
  return to_grads(all);
}

/// When nothing is recorded: f again on a short tape of its own.
Grads recompute_unrecorded(const Entry& e, const Tensor& dy) {
  const Replay& r = e.attrs<Replay>();
  const ReplayPass pass(r);
  Tape tape;
  for (std::size_t i = 0; i < r.touched.size(); ++i)
    if (e.needs(static_cast<int>(i))) tape.watch(r.touched[i]);
  const Tensor y = r.f(r.inputs);
  const Gradients g = tape.gradients(y, {.seed = dy.detach()});
  TensorList all(r.touched.size());
  for (std::size_t i = 0, k = 0; i < all.size(); ++i)
    if (e.needs(static_cast<int>(i))) {
      all[i] = g.values[k] ? g.values[k].detach() : Tensor();  // the outer sweep owns it now: not severed
      ++k;
    }
  return to_grads(all);
}

constexpr Op kRecompute{"recompute", recompute_rule, recompute_unrecorded};

/// Runs f while `touched` collects what is live around it.
Tensor run_and_note(Replay& replay, std::uint64_t first_id) {
  struct Capture {
    State* state = detail::open_state();
    ~Capture() { detail::close_state(state); }
  } capture;
  capture.state->touched = &replay.touched;
  capture.state->first_id = first_id;
  return replay.f(replay.inputs);
}

}  // namespace

Tensor recompute(std::function<Tensor(const TensorList&)> f, TensorList inputs) {
  if (!detail::recording.innermost || detail::recording.no_grad) return f(inputs);
  Replay replay{std::move(f), std::move(inputs), {}};
  if (const detail::PassState* pass = detail::current_pass()) {
    replay.training = pass->training;
    replay.base = pass->base;
    replay.draws = pass->draws;
  }
  const std::uint64_t first_id = Tensor::scalar(0).id();  // everything that f makes has a larger one
  Tensor y = run_and_note(replay, first_id);
  require_floating("recompute", "the result of f", y);
  if (replay.touched.empty()) return y;
  const TensorList touched = replay.touched;
  return record(kRecompute, y.detach(), Inputs(touched), {}, std::move(replay));
}

}  // namespace gradus::inline v0
