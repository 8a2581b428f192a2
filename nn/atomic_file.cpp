#include <gradus/nn/atomic_file.h>

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include <gradus/kernels/error.h>

namespace gradus::inline v0 {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

/// The rename itself lives in the folder: without this a power cut could undo it. Some file systems refuse to sync a folder; the file is
/// whole either way.
void sync_folder(const std::string& path) {
  const int folder = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  // The process number keeps two programs apart, O_EXCL two threads; what a killed run left behind is stepped over.
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    temporary_ = path_ + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(i);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) return;
    if (errno != EEXIST) break;
  }
  const int error = errno;
  temporary_.clear();
  errno = error;
  fail("cannot be created");
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  descriptor_ = -1;
  temporary_.clear();
}

void AtomicFile::fail(const char* what) {
  const std::string reason = std::generic_category().message(errno);
  discard();
  raise_io("[save] '" + path_ + "' " + what + ": " + reason + "; what was there before is unchanged");
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  if (descriptor_ < 0) raise_io("[save] '" + path_ + "' is closed: it was committed, or an earlier write failed");
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    constexpr std::size_t kLargest = std::size_t{1} << 30;  // a single call writes at most 2 GiB
    const ssize_t written = ::write(descriptor_, at, std::min(bytes, kLargest));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("cannot be written");
    at += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) raise_io("[save] '" + path_ + "' is closed: it was committed, or an earlier write failed");
  if (::fsync(descriptor_) != 0) fail("cannot be flushed to the disk");
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) fail("cannot be closed");  // a network file system may report its full disk only here
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be renamed into place");
  temporary_.clear();
  sync_folder(path_);
}

}  // namespace gradus::inline v0
