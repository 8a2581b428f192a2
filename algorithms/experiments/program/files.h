// Files as the program writes them: whole or not at all. Every failure is an IoError of one sentence that names the path and the
// system's reason.
#pragma once

#include <string>
#include <string_view>

namespace gradus::experiments {

/// The whole file. Throws IoError.
std::string read_file(const std::string& path);
/// Writes the file whole (AtomicFile): a crash or a full disk leaves the old one or none. Throws IoError.
void write_file(const std::string& path, std::string_view content);
/// Makes `path` and its parents. Throws IoError.
void make_folder(const std::string& path);
bool exists(const std::string& path);
/// Throws IoError if the file is there and cannot be removed.
void remove_file(const std::string& path);
/// Throws IoError: "cannot ACTION PATH: REASON", with the system's reason for `error` (an errno).
[[noreturn]] void raise_system(const std::string& action, const std::string& path, int error);

/// A file that only grows, line by line. A line is written whole or taken back.
class AppendFile {
 public:
  AppendFile() = default;
  /// Opens or makes the file; what is in it stays. Throws IoError.
  explicit AppendFile(const std::string& path);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();
  void append(std::string_view text);
  /// Returns once everything appended so far is on the disk.
  void sync();

 private:
  std::string path_;
  int file_ = -1;
};

}  // namespace gradus::experiments
