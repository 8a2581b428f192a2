// The program's commands. Each prints on stdout and returns the exit code; errors are thrown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradus::experiments {

/// Exit codes of the program.
enum ExitCode : int { kDone = 0, kFailed = 1, kUsage = 2, kCheckFailed = 3, kInterrupted = 130 };

/// What the user typed is wrong: exit code 2.
struct UsageError {
  std::string text;
};

struct ListOptions {
  std::string family;
  bool json = false;
};
int list_command(const ListOptions& options);

int show_command(const std::string& name);

struct RunCommandOptions {
  std::vector<std::string> names;
  std::vector<std::uint64_t> seeds = {1};
  std::string device = "cpu";
  int threads = 1;
  bool quick = false;
  std::string data_dir, out_dir;
  std::vector<std::string> assignments;
  std::int64_t checkpoint_every = 0;
  bool resume = false;
  std::string trace_file;
  bool check = false, json = false;
};
int run_command(const RunCommandOptions& options);

struct ReportOptions {
  std::vector<std::string> runs;
  std::string file = "report.html";
};
int report_command(const ReportOptions& options);

struct TapeOptions {
  std::string name;
  std::uint64_t seed = 1;
  std::string data_dir;
  std::vector<std::string> assignments;
  std::string dot_file, svg_file;
};
int tape_command(const TapeOptions& options);

int data_list_command(const std::string& data_dir);
int data_get_command(const std::string& name, const std::string& data_dir);

/// Where fetched data goes unless --data says otherwise: $XDG_DATA_HOME/gradus, else ~/.local/share/gradus.
std::string default_data_dir();

}  // namespace gradus::experiments
