#include <gradus/nn/data/idx.h>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>

namespace gradus::inline v0 {
namespace {

constexpr int kMaxDimensions = 4;
constexpr std::size_t kLongestHeader = 4 + 4 * kMaxDimensions;

enum class Code : std::uint8_t { u8 = 0x08, i8 = 0x09, i16 = 0x0B, i32 = 0x0C, f32 = 0x0D, f64 = 0x0E };

struct Header {
  Code code;
  Shape shape;
  std::size_t bytes;  // of the header itself
  std::uint64_t data_bytes;
};

std::uint32_t big_endian_u32(const unsigned char* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | std::uint32_t{p[3]};
}

// 0: no such type.
std::size_t value_bytes(unsigned char code) {
  switch (static_cast<Code>(code)) {
    case Code::u8:
    case Code::i8: return 1;
    case Code::i16: return 2;
    case Code::i32:
    case Code::f32: return 4;
    case Code::f64: return 8;
  }
  return 0;
}

std::string hex(unsigned char byte) {
  const char* digits = "0123456789ABCDEF";
  return std::string("0x") + digits[byte >> 4] + digits[byte & 15];
}

[[noreturn]] void reject(const std::string& file, std::size_t offset, const std::string& found, const std::string& expected) {
  raise_io("[idx] " + file + " at offset " + std::to_string(offset) + ": " + found + "; expected " + expected);
}

void require_size(const std::string& file, std::uint64_t size, std::uint64_t needed, const char* what) {
  if (size < needed) reject(file, size, "the file ends after " + std::to_string(size) + " bytes", std::to_string(needed) + " for " + what);
}

// `start` holds the first min(size, kLongestHeader) bytes of a file of `size` bytes.
Header parse_header(std::span<const unsigned char> start, std::uint64_t size, const std::string& file) {
  require_size(file, size, 4, "the magic number");
  if (start[0] != 0 || start[1] != 0)
    reject(file, 0, "the file begins " + hex(start[0]) + " " + hex(start[1]), "0x00 0x00 (is it compressed?)");
  const std::size_t width = value_bytes(start[2]);
  if (width == 0) reject(file, 2, "type byte " + hex(start[2]), "0x08 (u8), 0x09 (i8), 0x0B (i16), 0x0C (i32), 0x0D (f32) or 0x0E (f64)");
  const int dimensions = start[3];
  if (dimensions < 1 || dimensions > kMaxDimensions) reject(file, 3, std::to_string(dimensions) + " dimensions", "1 to 4");
  const std::size_t header_bytes = 4 + 4 * static_cast<std::size_t>(dimensions);
  require_size(file, size, header_bytes, "the header");

  Header header{static_cast<Code>(start[2]), Shape(), header_bytes, width};
  for (int d = 0; d < dimensions; ++d) {
    const std::size_t offset = 4 + 4 * static_cast<std::size_t>(d);
    const std::uint32_t extent = big_endian_u32(&start[offset]);
    if (extent != 0 && header.data_bytes > std::numeric_limits<std::int64_t>::max() / extent)
      reject(file, offset, "extent " + std::to_string(extent) + " after " + std::to_string(header.data_bytes) + " bytes a row",
             "a product below 2^63");
    header.data_bytes *= extent;
    header.shape.push_back(extent);
  }
  const std::uint64_t expected = header_bytes + header.data_bytes;
  if (size != expected)
    reject(file, header_bytes, "the file has " + std::to_string(size) + " bytes",
           std::to_string(expected) + " for " + to_string(header.shape));
  return header;
}

DType dtype_for(Code code) {
  switch (code) {
    case Code::u8: return DType::u8;
    case Code::f32: return DType::f32;
    case Code::f64: return DType::f64;
    default: return DType::i64;
  }
}

// y[i] = the big-endian value of type Stored at p + i * sizeof(Stored).
template <class Stored, class T> void decode(T* y, const unsigned char* p, std::int64_t n) {
  using Word = std::conditional_t<
      sizeof(Stored) == 1, std::uint8_t,
      std::conditional_t<sizeof(Stored) == 2, std::uint16_t, std::conditional_t<sizeof(Stored) == 4, std::uint32_t, std::uint64_t>>>;
  for (std::int64_t i = 0; i < n; ++i, p += sizeof(Stored)) {
    Word word = 0;
    for (std::size_t b = 0; b < sizeof(Stored); ++b) word = static_cast<Word>((sizeof(Stored) > 1 ? word << 8 : 0) | p[b]);
    y[i] = static_cast<T>(std::bit_cast<Stored>(word));
  }
}

Tensor decoded(const Header& header, const unsigned char* data) {
  Tensor x = Tensor::empty(header.shape, dtype_for(header.code));
  const Array y = TensorAccess::fresh(x);
  const std::int64_t n = x.elements();
  switch (header.code) {
    case Code::u8: decode<std::uint8_t>(y.as<std::uint8_t>(), data, n); break;
    case Code::i8: decode<std::int8_t>(y.as<std::int64_t>(), data, n); break;
    case Code::i16: decode<std::int16_t>(y.as<std::int64_t>(), data, n); break;
    case Code::i32: decode<std::int32_t>(y.as<std::int64_t>(), data, n); break;
    case Code::f32: decode<float>(y.as<float>(), data, n); break;
    case Code::f64: decode<double>(y.as<double>(), data, n); break;
  }
  return x;
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

[[noreturn]] void raise_file(const std::string& path) { raise_io("[idx] cannot read " + path + ": " + std::strerror(errno)); }

// The size of an open file. Throws IoError for what has none (a folder, a pipe).
std::uint64_t size_of_file(std::FILE* file, const std::string& path) {
  if (std::fseek(file, 0, SEEK_END) != 0) raise_file(path);
  const long size = std::ftell(file);
  if (size < 0 || size == std::numeric_limits<long>::max()) raise_io("[idx] cannot read " + path + ": it is not a file");
  if (std::fseek(file, 0, SEEK_SET) != 0) raise_file(path);
  return static_cast<std::uint64_t>(size);
}

void append_big_endian(std::string& out, std::uint64_t word, std::size_t bytes) {
  for (std::size_t b = bytes; b-- > 0;) out += static_cast<char>(word >> (8 * b) & 0xFF);
}

}  // namespace

Tensor read_idx(std::span<const unsigned char> bytes, const std::string& name) {
  const Header header = parse_header(bytes, bytes.size(), name);
  return decoded(header, bytes.data() + header.bytes);
}

Tensor read_idx(const std::string& path) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (!file) raise_file(path);
  const std::uint64_t size = size_of_file(file.get(), path);
  unsigned char start[kLongestHeader] = {};
  const std::size_t read = std::fread(start, 1, sizeof start, file.get());
  if (std::ferror(file.get())) raise_file(path);
  const Header header = parse_header({start, read}, size, path);

  Vec<unsigned char> data(header.data_bytes);
  if (std::fseek(file.get(), static_cast<long>(header.bytes), SEEK_SET) != 0) raise_file(path);
  const std::size_t got = std::fread(data.data(), 1, data.size(), file.get());
  if (got != data.size()) reject(path, header.bytes + got, "the file ends here", std::to_string(data.size()) + " bytes of values");
  return decoded(header, data.data());
}

std::string to_idx(const Tensor& x) {
  const auto refuse = [&](const std::string& why) { raise_value("[to_idx] " + why + ": " + describe("x", x)); };
  if (x.rank() < 1 || x.rank() > kMaxDimensions) refuse("IDX has 1 to 4 dimensions");
  std::string out(2, '\0');
  const DType dtype = x.dtype();
  const Code code = dtype == DType::u8 ? Code::u8 : dtype == DType::f32 ? Code::f32 : dtype == DType::f64 ? Code::f64 : Code::i32;
  if (code == Code::i32 && dtype != DType::i64) refuse("IDX holds u8, f32, f64 and i32");
  out += static_cast<char>(code);
  out += static_cast<char>(x.rank());
  for (const std::int64_t extent : x.shape()) {
    if (extent > std::numeric_limits<std::uint32_t>::max()) refuse("an extent of IDX is below 2^32");
    append_big_endian(out, static_cast<std::uint64_t>(extent), 4);
  }
  out.reserve(out.size() + static_cast<std::size_t>(x.bytes()));
  if (dtype == DType::u8)
    out.append(reinterpret_cast<const char*>(x.values<std::uint8_t>().data()), static_cast<std::size_t>(x.elements()));
  if (dtype == DType::f32)
    for (const float v : x.values<float>()) append_big_endian(out, std::bit_cast<std::uint32_t>(v), 4);
  if (dtype == DType::f64)
    for (const double v : x.values<double>()) append_big_endian(out, std::bit_cast<std::uint64_t>(v), 8);
  if (dtype == DType::i64)
    for (const std::int64_t v : x.values<std::int64_t>()) {
      if (v != static_cast<std::int32_t>(v)) refuse("value " + std::to_string(v) + " does not fit i32");
      append_big_endian(out, static_cast<std::uint32_t>(v), 4);
    }
  return out;
}

}  // namespace gradus::inline v0
