// Errors of the library that are, at this place, the user's: a name or value typed on the command line.
#pragma once

#include <string>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/kernels/error.h>

namespace gradus::experiments {

/// f(); a ValueError in it is a UsageError.
template <class F> decltype(auto) as_usage(F&& f) {
  try {
    return f();
  } catch (const ValueError& error) {
    const std::string text = error.what();
    // "[config] there is ..." names the function for programmers; a user needs the sentence.
    throw UsageError{text.rfind("[config] ", 0) == 0 ? text.substr(9) : text};
  }
}

}  // namespace gradus::experiments
