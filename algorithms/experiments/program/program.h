// The program `gradus`, from its arguments to its exit code.
#pragma once

namespace gradus::experiments {

/// Runs one command line. Nothing is thrown: an error is one sentence on stderr and an exit code (commands.h).
int run_program(int argc, const char* const* argv);

}  // namespace gradus::experiments
