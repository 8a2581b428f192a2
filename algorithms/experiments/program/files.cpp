#include <gradus/algorithms/experiments/program/files.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gradus/kernels/error.h>
#include <gradus/nn/atomic_file.h>

namespace gradus::experiments {
namespace {

// Writes all of `text`; false with errno set if the system refuses.
bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

struct Close {
  int file;
  ~Close() { ::close(file); }
};

}  // namespace

void raise_system(const std::string& action, const std::string& path, int error) {
  raise_io("cannot " + action + " " + path + ": " + std::strerror(error));
}

std::string read_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) raise_system("read", path, errno);
  const Close close{file};
  std::string content;
  char block[1 << 16];  // 64 KiB: few calls, small stack
  for (;;) {
    const ssize_t count = ::read(file, block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) raise_system("read", path, errno);
    if (count == 0) return content;
    content.append(block, static_cast<std::size_t>(count));
  }
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) raise_system("make the folder", path, error.value());
}

bool exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) raise_system("remove", path, errno);
}

AppendFile::AppendFile(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (file_ < 0) raise_system("write", path, errno);
}

AppendFile::AppendFile(AppendFile&& other) noexcept : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  return *this;
}

AppendFile::~AppendFile() {
  if (file_ >= 0) ::close(file_);
}

void AppendFile::append(std::string_view text) {
  const off_t before = ::lseek(file_, 0, SEEK_END);
  if (before >= 0 && write_all(file_, text)) return;
  const int error = errno;
  if (before >= 0 && ::ftruncate(file_, before) != 0) raise_system("repair", path_, errno);
  raise_system("write", path_, error);
}

void AppendFile::sync() {
  if (::fsync(file_) != 0) raise_system("write", path_, errno);
}

}  // namespace gradus::experiments
