#include <gradus/engine/pass.h>

#include <exception>

namespace gradus::inline v0 {
namespace detail {
namespace {
constinit thread_local PassState* innermost = nullptr;
}

PassState* current_pass() { return innermost; }

PassScope::PassScope(PassState& state) : state_(&state) {
  state.outer = innermost;
  innermost = state_;
}
PassScope::~PassScope() {
  for (PassState** at = &innermost; *at; at = &(*at)->outer)
    if (*at == state_) {
      *at = state_->outer;
      return;
    }
}

}  // namespace detail

namespace {
/// The innermost training pass, unless an inference pass lies inside it.
detail::PassState* training_pass() {
  detail::PassState* pass = detail::current_pass();
  return pass && pass->training ? pass : nullptr;
}
}  // namespace

TrainingPass::TrainingPass(Key key) : scope_(state_), exceptions_(std::uncaught_exceptions()) {
  state_.training = true;
  state_.base = key;
}
TrainingPass::TrainingPass(Generator& generator) : TrainingPass(generator.next_key()) {}

TrainingPass::~TrainingPass() {
  if (discard_ || state_.replaying || std::uncaught_exceptions() > exceptions_) return;
  for (const detail::DeferredUpdate& u : state_.updates) {
    try {
      lerp_(u.buffer, u.value, u.weight);
    } catch (...) {  // the shapes were checked at hand-over; a buffer that went live on a tape since keeps its old statistics
    }
  }
}

void TrainingPass::discard() { discard_ = true; }

bool in_training() { return training_pass() != nullptr; }

Key next_pass_key() {
  detail::PassState* pass = training_pass();
  if (!pass) raise_value("[pass] a random key was asked for outside a training pass; make a TrainingPass first");
  return fold(pass->base, pass->draws++);
}

void update_at_end_of_pass(const Tensor& buffer, const Tensor& value, double weight) {
  detail::PassState* pass = training_pass();
  if (!pass || pass->replaying) return;
  if (!(buffer.shape() == value.shape()) || buffer.dtype() != value.dtype())
    raise_shape("[pass] " + describe("buffer", buffer) + " and " + describe("statistic", value) +
                " differ; expected the same shape and type");
  pass->updates.push_back({buffer, value.detach(), weight});
}

}  // namespace gradus::inline v0
