#include <gradus/nn/safetensors.h>

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <system_error>

#include <gradus/engine/record.h>
#include <gradus/nn/atomic_file.h>
#include <gradus/nn/safetensors_header.h>

namespace gradus::inline v0 {
namespace {

using detail::HeaderEntry;
using detail::SafetensorsHeader;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;  // the reference reader's limit
constexpr std::size_t kDataAlignment = 64;             // a cache line: enough for every type and for mapping the file

/// Where the bytes come from. read() throws if they are not there.
class Source {
 public:
  explicit Source(std::string name) : name_(std::move(name)) {}
  virtual ~Source() = default;
  virtual std::uint64_t size() const = 0;
  virtual void read(std::uint64_t offset, void* to, std::size_t bytes) const = 0;
  const std::string& name() const { return name_; }
  [[noreturn]] void fail(const std::string& what) const { raise_io("[safetensors] '" + name_ + "': " + what); }

 private:
  std::string name_;
};

class MemorySource final : public Source {
 public:
  MemorySource(std::span<const unsigned char> bytes, std::string name) : Source(std::move(name)), bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, void* to, std::size_t bytes) const override {
    GRADUS_ASSERT(offset <= bytes_.size() && bytes <= bytes_.size() - offset);
    if (bytes) std::memcpy(to, bytes_.data() + offset, bytes);
  }

 private:
  std::span<const unsigned char> bytes_;
};

class FileSource final : public Source {
 public:
  explicit FileSource(const std::string& path) : Source(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat status {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail_with_reason();
    if (!S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      fail("is not a regular file");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  ~FileSource() override { ::close(descriptor_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, void* to, std::size_t bytes) const override;

 private:
  [[noreturn]] void fail_with_reason() const {
    const std::string reason = std::generic_category().message(errno);
    if (descriptor_ >= 0) ::close(descriptor_);
    fail("cannot be opened: " + reason);
  }
  int descriptor_;
  std::uint64_t size_ = 0;
};

void FileSource::read(std::uint64_t offset, void* to, std::size_t bytes) const {
  char* at = static_cast<char*>(to);
  while (bytes > 0) {
    constexpr std::size_t kLargest = std::size_t{1} << 30;  // a single call reads at most 2 GiB
    const ssize_t got = ::pread(descriptor_, at, std::min(bytes, kLargest), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot be read: " + std::generic_category().message(errno));
    if (got == 0) fail("became shorter while it was read");
    at += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
}

std::uint64_t read_header_length(const Source& source) {
  unsigned char bytes[kLengthBytes];
  if (source.size() < kLengthBytes) source.fail("has " + std::to_string(source.size()) + " bytes; a safetensors file has at least 8");
  source.read(0, bytes, kLengthBytes);
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
  if (length > kLargestHeader || length > source.size() - kLengthBytes)
    source.fail("says that its header has " + std::to_string(length) + " bytes; the file has " + std::to_string(source.size()) +
                " and a header at most " + std::to_string(kLargestHeader));
  return length;
}

/// Ranges lie inside the data and do not overlap; in strict mode they cover it.
void check_ranges(const Source& source, const std::vector<HeaderEntry>& entries, std::uint64_t data_bytes, bool strict) {
  std::vector<const HeaderEntry*> order;
  for (const HeaderEntry& e : entries) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](const HeaderEntry* a, const HeaderEntry* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;  // empty tensors before the one that begins there
  });
  std::uint64_t covered = 0;
  for (const HeaderEntry* e : order) {
    const std::string range = std::to_string(e->begin) + " to " + std::to_string(e->end);
    if (e->end > data_bytes) source.fail("a tensor has data_offsets " + range + ", the data has " + std::to_string(data_bytes) + " bytes");
    if (e->begin < covered)
      source.fail("the tensor with data_offsets " + range + " overlaps another, which ends at " + std::to_string(covered));
    if (strict && e->begin > covered)
      source.fail("bytes " + std::to_string(covered) + " to " + std::to_string(e->begin) + " of the data belong to no tensor");
    covered = e->end;
  }
  if (strict && covered != data_bytes)
    source.fail("its tensors end at byte " + std::to_string(covered) + " of " + std::to_string(data_bytes) + " bytes of data");
}

/// A bool that is neither 0 nor 1 would be undefined behaviour later.
void check_booleans(const Source& source, const std::string& name, const unsigned char* bytes, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    if (bytes[i] > 1) source.fail("tensor '" + name + "' holds a bool of " + std::to_string(bytes[i]));
}

Tensor read_tensor(const Source& source, const HeaderEntry& entry, std::uint64_t data_begin) {
  Tensor t = Tensor::empty(entry.shape, entry.dtype);
  source.read(data_begin + entry.begin, fresh(t).data, static_cast<std::size_t>(t.bytes()));
  if (entry.dtype == DType::boolean) check_booleans(source, entry.name, static_cast<const unsigned char*>(t.array().data), t.elements());
  return t;
}

TensorFile read(const Source& source, const SafetensorsOptions& options) {
  const std::uint64_t length = read_header_length(source);
  std::string json(static_cast<std::size_t>(length), '\0');
  source.read(kLengthBytes, json.data(), json.size());
  SafetensorsHeader header = detail::parse_header(json, source.name());
  const std::uint64_t data_begin = kLengthBytes + length;
  check_ranges(source, header.entries, source.size() - data_begin, options.strict);

  TensorFile file;
  file.metadata = std::move(header.metadata);
  for (HeaderEntry& entry : header.entries) {
    Tensor t = read_tensor(source, entry, data_begin);
    file.tensors.emplace_back(std::move(entry.name), std::move(t));
  }
  return file;
}

template <class F> std::optional<TensorFile> without_exceptions(std::string* error, F&& read_file) noexcept {
  try {
    try {
      return read_file();
    } catch (const std::exception& e) {
      if (error) error->assign(e.what());
    }
  } catch (...) {  // no memory even for the text
    if (error) error->clear();
  }
  return std::nullopt;
}

void require_text(const std::string& text, const char* what) {
  if (!detail::is_utf8(text)) raise_value(std::string("[save] a ") + what + " is not UTF-8, which the format demands");
}

void require_unique(std::vector<std::string_view> names, const char* what) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) raise_value(std::string("[save] ") + what + " '" + std::string(*twice) + "' occurs twice");
}

void check_writable(const TensorFile& file) {
  std::vector<std::string_view> names, keys;
  for (const auto& [name, tensor] : file.tensors) {
    require_text(name, "tensor's name");
    if (name == "__metadata__") raise_value("[save] a tensor is named '__metadata__', which the format reserves");
    if (!tensor) raise_value("[save] tensor '" + name + "' is empty: it was never assigned");
    names.push_back(name);
  }
  for (const auto& [key, value] : file.metadata) {
    require_text(key, "metadata key");
    require_text(value, "metadata value");
    keys.push_back(key);
  }
  require_unique(std::move(names), "tensor");
  require_unique(std::move(keys), "metadata");
}

/// Length, header and padding of the file, and the order in which its tensors follow.
struct Layout {
  std::string head;
  std::vector<const Tensor*> order;
};

Layout lay_out(const TensorFile& file) {
  check_writable(file);
  std::vector<std::size_t> order(file.tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(file.tensors[a].second.dtype()) > size_of(file.tensors[b].second.dtype());
  });
  Layout layout;
  SafetensorsHeader header{{}, file.metadata};
  std::uint64_t at = 0;
  for (const std::size_t i : order) {
    const auto& [name, tensor] = file.tensors[i];
    const std::uint64_t end = at + static_cast<std::uint64_t>(tensor.bytes());
    header.entries.push_back({name, tensor.dtype(), tensor.shape(), at, end});
    layout.order.push_back(&tensor);
    at = end;
  }
  std::string json = detail::to_json(header);
  json.resize((json.size() + kLengthBytes + kDataAlignment - 1) / kDataAlignment * kDataAlignment - kLengthBytes, ' ');
  if (json.size() > kLargestHeader)
    raise_value("[save] the header would have " + std::to_string(json.size()) + " bytes, more than readers accept; save fewer names");
  for (std::uint64_t i = 0, length = json.size(); i < kLengthBytes; ++i) layout.head += static_cast<char>(length >> 8 * i & 0xFF);
  layout.head += json;
  return layout;
}

}  // namespace

const Tensor* TensorFile::find(std::string_view name) const {
  for (const auto& pair : tensors)
    if (pair.first == name) return &pair.second;
  return nullptr;
}

const std::string* TensorFile::find_metadata(std::string_view name) const {
  for (const auto& pair : metadata)
    if (pair.first == name) return &pair.second;
  return nullptr;
}

TensorFile read_safetensors(const std::string& path, const SafetensorsOptions& options) { return read(FileSource(path), options); }

TensorFile read_safetensors(std::span<const unsigned char> bytes, const std::string& name, const SafetensorsOptions& options) {
  return read(MemorySource(bytes, name), options);
}

std::optional<TensorFile> try_read_safetensors(const std::string& path, std::string* error, const SafetensorsOptions& options) noexcept {
  return without_exceptions(error, [&] { return read_safetensors(path, options); });
}

std::optional<TensorFile> try_read_safetensors(std::span<const unsigned char> bytes, const std::string& name, std::string* error,
                                               const SafetensorsOptions& options) noexcept {
  return without_exceptions(error, [&] { return read_safetensors(bytes, name, options); });
}

void write_safetensors(const std::string& path, const TensorFile& file) {
  const Layout layout = lay_out(file);
  AtomicFile out(path);
  out.write(layout.head.data(), layout.head.size());
  for (const Tensor* t : layout.order) {
    const Tensor here = t->to(Device::cpu);
    out.write(here.array().data, static_cast<std::size_t>(here.bytes()));
  }
  out.commit();
}

std::string to_safetensors(const TensorFile& file) {
  const Layout layout = lay_out(file);
  std::string bytes = layout.head;
  for (const Tensor* t : layout.order) {
    const Tensor here = t->to(Device::cpu);
    bytes.append(static_cast<const char*>(here.array().data), static_cast<std::size_t>(here.bytes()));
  }
  return bytes;
}

}  // namespace gradus::inline v0
