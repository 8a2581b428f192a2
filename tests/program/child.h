// The program as a child process: what it printed and how it ended.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace gradus::experiments::test {

/// An empty folder that is removed with everything in it at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string read(const std::string& name) const;
  bool has(const std::string& name) const;
  std::vector<std::string> files(const std::string& name = "") const;

 private:
  std::string path_;
};

struct Result {
  int code = -1;   // exit code
  int signal = 0;  // that ended it; 0: none
  std::string out, err;
};

struct Start {
  std::map<std::string, std::string> environment = {};  // on top of an almost empty one
  std::string out_file = {};                            // instead of being collected
  long file_limit = 0;                                  // largest file in bytes; 0: no limit
  bool terminal = false;                                // stderr is a terminal
};

/// `gradus ARGUMENTS` in `folder`, running.
class Child {
 public:
  Child(const Folder& folder, const std::vector<std::string>& arguments, const Start& start = {});
  void kill(int signal);
  Result wait();

 private:
  pid_t process_ = -1;
  int out_ = -1, err_ = -1;
};

Result run_gradus(const Folder& folder, const std::vector<std::string>& arguments, const Start& start = {});

}  // namespace gradus::experiments::test
