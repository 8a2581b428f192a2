// A file that appears whole or not at all: written beside its final name, flushed to the disk, then renamed.
#pragma once

#include <cstddef>
#include <string>

namespace gradus::inline v0 {

/// Writes `path` so that a crash, a full disk or an error leaves the old file (or none) in place and nothing half-written.
///
///     AtomicFile file("run.safetensors");
///     file.write(bytes.data(), bytes.size());
///     file.commit();                            // without it the destructor removes what was written
class AtomicFile {
 public:
  /// Opens a new file in the folder of `path`. Throws IoError.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws IoError (full disk, quota); the file is then gone.
  void write(const void* data, std::size_t bytes);
  /// fsync, close, rename over `path`. Throws IoError; `path` is then as it was.
  void commit();

 private:
  [[noreturn]] void fail(const char* what);
  void discard() noexcept;
  std::string path_, temporary_;
  int descriptor_ = -1;
};

}  // namespace gradus::inline v0
