// Other programs: apt-get, dpkg-deb, gzip.
#pragma once

#include <string>
#include <vector>

namespace gradus::experiments {

/// True if the program is in the PATH.
bool has_tool(const std::string& name);
/// Runs a program without a shell, in `folder` if one is given, its output on stderr. Throws IoError if it cannot be started or fails.
void run_tool(const std::vector<std::string>& arguments, const std::string& folder = "");

}  // namespace gradus::experiments
