// The IDX reader on arbitrary bytes: a tensor or an IoError, and no more memory than the bytes justify.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <gradus/engine/memory.h>
#include <gradus/nn/data/idx.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const gradus::MemoryPeak peak;
  try {
    const gradus::Tensor t = gradus::read_idx({data, size}, "fuzz");
    if (static_cast<std::size_t>(t.elements()) > size) std::abort();  // every value takes at least a byte of the file
  } catch (const gradus::IoError&) {}
  // Narrow types are widened, at most from one byte to eight, and blocks are rounded up by an eighth.
  if (peak.bytes() > static_cast<std::int64_t>(10 * size + 4096)) std::abort();
  return 0;
}
