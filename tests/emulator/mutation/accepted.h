// Mutants that no test can notice, with the reason: equivalent.txt.
#pragma once

#include <string>
#include <vector>

#include "mutant.h"

namespace mutation {

/// Mutants of a kind, of a source line, in the kernels whose demangled name holds `kernel`. The line is known by its text, so that an entry
/// outlives edits elsewhere in the file.
struct Accepted {
  std::string file, kind, kernel, line, reason;
  std::size_t survivors = 0, matches = 0;

  bool fits(const Place& place, Kind of, const std::string& in_kernel) const;
};

/// Lines `file | kind | kernel, or * | text of the source line | reason`; # begins a comment. Throws std::runtime_error at a malformed one.
std::vector<Accepted> read_accepted(const std::string& file);

}  // namespace mutation
