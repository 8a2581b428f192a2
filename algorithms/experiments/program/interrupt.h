// Ctrl-C as a request: the run finishes its step, saves a checkpoint and ends. A second Ctrl-C ends at once.
#pragma once

namespace gradus::experiments {

/// Thrown through an experiment when an interrupt has been requested and the checkpoint is on the disk.
struct Interrupted {};

/// From now on SIGINT and SIGTERM are requests.
void catch_interrupts();
bool interrupt_requested();

}  // namespace gradus::experiments
