#include <gradus/algorithms/experiments/program/interrupt.h>

#include <csignal>

namespace gradus::experiments {
namespace {

volatile std::sig_atomic_t requested = 0;

void note_request(int) { requested = 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_request;
  // SA_RESETHAND: the second signal has its usual effect, for a step that does not come to an end. SA_RESTART: a write goes on.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupt_requested() { return requested != 0; }

}  // namespace gradus::experiments
