// What several tests of nn need.
#pragma once

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include <gradus/engine/tensor.h>

namespace gradus::testing {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a || !b) return !a && !b;
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0);
}

/// Bits of everything that a model's visit names.
template <class M> bool same_bits_of(const M& a, const M& b) {
  const auto x = a.named_tensors(), y = b.named_tensors();
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i].name != y[i].name || !same_bits(x[i].tensor, y[i].tensor)) return false;
  return true;
}

/// A folder that is removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gradus-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

/// The text of the error of type E that f throws; "" if it throws none.
template <class E, class F> std::string error_of(F&& f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gradus::testing
