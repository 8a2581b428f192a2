// The safetensors reader on arbitrary bytes: it returns a file or an error, takes no more memory than the bytes justify, and what it
// accepts it writes back to the same tensors.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <gradus/engine/memory.h>
#include <gradus/nn/safetensors.h>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool same(const gradus::Tensor& a, const gradus::Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const gradus::MemoryPeak peak;
  for (const bool strict : {true, false}) {
    std::string error;
    const auto file = gradus::try_read_safetensors({data, size}, "fuzz", &error, {.strict = strict});
    require(file.has_value() == error.empty());
    // A tensor's bytes lie in the file and overlap nobody's; its body takes some 300 more, for an entry of at least 40 in the header.
    require(peak.bytes() <= static_cast<std::int64_t>(16 * size + 4096));
    if (!file) continue;
    const std::string written = gradus::to_safetensors(*file);
    const auto again = gradus::read_safetensors({reinterpret_cast<const unsigned char*>(written.data()), written.size()}, "again");
    require(again.metadata == file->metadata && again.tensors.size() == file->tensors.size());
    for (const auto& pair : file->tensors) require(again.find(pair.first) && same(*again.find(pair.first), pair.second));
  }
  return 0;
}
