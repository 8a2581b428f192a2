#include <gradus/tests/program/child.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gradus::experiments::test {
namespace {

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

// In the child: becomes this binary as the program.
[[noreturn]] void become(const std::string& folder, std::vector<std::string> words, const Start& start, int out, int err) {
  if (!start.out_file.empty()) out = ::open(start.out_file.c_str(), O_WRONLY);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  if (start.file_limit > 0) {
    const rlimit limit{static_cast<rlim_t>(start.file_limit), static_cast<rlim_t>(start.file_limit)};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  std::vector<std::string> environment;
  for (const char* kept : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"})
    if (const char* value = std::getenv(kept)) environment.push_back(std::string(kept) + "=" + value);
  auto variables = start.environment;
  variables.try_emplace("PATH", "/usr/bin:/bin");
  variables.try_emplace("HOME", folder);
  for (const auto& variable : variables) environment.push_back(variable.first + "=" + variable.second);
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  if (::chdir(folder.c_str()) == 0) ::execve("/proc/self/exe", pointers(words).data(), pointers(environment).data());
  ::_exit(99);
}

}  // namespace

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "gradus-test-XXXXXX").string();
  require(::mkdtemp(name.data()) != nullptr, "mkdtemp");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::read(const std::string& name) const {
  std::ifstream file(path_ + "/" + name, std::ios::binary);
  require(file.good(), ("cannot read " + name).c_str());
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

bool Folder::has(const std::string& name) const { return std::filesystem::exists(path_ + "/" + name); }

std::vector<std::string> Folder::files(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_ + "/" + name)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Child::Child(const Folder& folder, const std::vector<std::string>& arguments, const Start& start) {
  int out[2], err[2];
  require(::pipe2(out, O_CLOEXEC) == 0, "pipe");
  if (start.terminal) {
    winsize size{24, 100, 0, 0};
    require(::openpty(&err[0], &err[1], nullptr, nullptr, &size) == 0, "openpty");
  } else {
    require(::pipe2(err, O_CLOEXEC) == 0, "pipe");
  }
  std::vector<std::string> words{"test", "--gradus"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  process_ = ::fork();
  require(process_ >= 0, "fork");
  if (process_ == 0) become(folder.path(), words, start, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

void Child::kill(int signal) { ::kill(process_, signal); }

Result Child::wait() {
  Result result;
  pollfd streams[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  std::string* texts[2] = {&result.out, &result.err};
  int open = 2;
  while (open > 0) {
    require(::poll(streams, 2, -1) > 0 || errno == EINTR, "poll");
    for (int i = 0; i < 2; ++i) {
      if (streams[i].fd < 0 || !streams[i].revents) continue;
      char block[4096];
      const ssize_t count = ::read(streams[i].fd, block, sizeof block);
      if (count > 0) {
        texts[i]->append(block, static_cast<std::size_t>(count));
      } else {  // the end; a terminal reports it as an error
        ::close(streams[i].fd);
        streams[i].fd = -1;
        --open;
      }
    }
  }
  int status = 0;
  require(::waitpid(process_, &status, 0) == process_, "waitpid");
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return result;
}

Result run_gradus(const Folder& folder, const std::vector<std::string>& arguments, const Start& start) {
  return Child(folder, arguments, start).wait();
}

}  // namespace gradus::experiments::test
