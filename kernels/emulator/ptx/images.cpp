// Fat binaries. The layout is not documented; what is used here is what nvcc 12 and 13 write:
//   wrapper: u32 magic 0x466243b1, u32 version, const void* fat binary, const void* file name
//   fat binary: u32 magic 0xba55ed50, u16 version, u16 header bytes, u64 bytes that follow; then entries
//   entry: u16 kind (1: PTX), u16 version, u32 header bytes, u64 payload bytes, ..., u32 architecture at 28, ..., u64 flags at 40
#include <gradus/kernels/emulator/ptx/parser.h>

#include <cstring>

namespace gradus::emulator::ptx {
namespace {

constexpr std::uint32_t kWrapperMagic = 0x466243b1, kBinaryMagic = 0xba55ed50;
constexpr std::uint64_t kCompressedFlags = 0x2000 | 0x8000;  // LZ4, zstd
constexpr std::uint16_t kKindPtx = 1;
constexpr std::size_t kEntryHeader = 64;

template <class T> T read(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

PtxImage image_of(const char* entry, std::uint64_t header, std::uint64_t bytes) {
  if ((read<std::uint64_t>(entry + 40) & kCompressedFlags) != 0) {
    throw ParseError("the PTX in this program is compressed: compile with nvcc --no-compress");
  }
  std::string_view text(entry + header, bytes);
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return {static_cast<int>(read<std::uint32_t>(entry + 28)), text};
}

}  // namespace

std::vector<PtxImage> images_of(const void* fat_binary) {
  const char* wrapper = static_cast<const char*>(fat_binary);
  if (wrapper == nullptr || read<std::uint32_t>(wrapper) != kWrapperMagic) throw ParseError("not a fat binary wrapper");
  const char* binary = read<const char*>(wrapper + 8);
  if (binary == nullptr || read<std::uint32_t>(binary) != kBinaryMagic) throw ParseError("not a fat binary");
  const auto begin = read<std::uint16_t>(binary + 6);
  const auto bytes = read<std::uint64_t>(binary + 8);
  std::vector<PtxImage> images;
  for (std::uint64_t at = 0; at < bytes;) {
    const char* entry = binary + begin + at;
    if (bytes - at < kEntryHeader) throw ParseError("fat binary with a truncated entry");
    const std::uint64_t header = read<std::uint32_t>(entry + 4), payload = read<std::uint64_t>(entry + 8);
    if (header < kEntryHeader || header > bytes - at || payload > bytes - at - header) throw ParseError("fat binary with a broken entry");
    if (read<std::uint16_t>(entry) == kKindPtx) images.push_back(image_of(entry, header, payload));
    at += header + payload;
  }
  return images;
}

}  // namespace gradus::emulator::ptx
