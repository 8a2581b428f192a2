#include <gradus/algorithms/experiments/data/process.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <sys/wait.h>
#include <unistd.h>

#include <gradus/kernels/error.h>

namespace gradus::experiments {
namespace {

constexpr int kCannotStart = 127;  // the shell's code for it

// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void become(char* const* arguments, const char* folder) {
  if (*folder && ::chdir(folder) != 0) ::_exit(kCannotStart);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::execvp(arguments[0], arguments);
  ::_exit(kCannotStart);
}

}  // namespace

bool has_tool(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  std::string folder;
  while (std::getline(folders, folder, ':'))
    if (::access((folder + "/" + name).c_str(), X_OK) == 0) return true;
  return false;
}

void run_tool(const std::vector<std::string>& arguments, const std::string& folder) {
  std::vector<char*> words;
  std::string line;
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
    line += (line.empty() ? "" : " ") + argument;
  }
  words.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) raise_io("[data] cannot start " + line + ": " + std::strerror(errno));
  if (child == 0) become(words.data(), folder.c_str());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const bool missing = WIFEXITED(status) && WEXITSTATUS(status) == kCannotStart;
  raise_io("[data] " + (missing ? arguments[0] + " is not installed" : "`" + line + "` failed"));
}

}  // namespace gradus::experiments
