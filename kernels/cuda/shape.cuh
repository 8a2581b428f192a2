// Copies between a contiguous array and a strided walk over another one, in words: elements, or runs of them of up to 16 bytes.
#pragma once

#include <gradus/kernels/copy_walk.h>
#include <gradus/kernels/cuda/divider.cuh>
#include <gradus/kernels/cuda/launch.cuh>

namespace gradus::inline v0::cuda {

inline constexpr int kCopyThreads = 256;
inline constexpr int kCopyBatch = 4;                                     // words of a thread, so that four loads are in flight
inline constexpr std::int64_t kMostWords = (std::int64_t{1} << 31) - 1;  // of a launch: positions are 32-bit, offsets 64-bit

template <int kBytes> struct WordOf;
template <> struct WordOf<1> { using Type = std::uint8_t; };
template <> struct WordOf<2> { using Type = std::uint16_t; };
template <> struct WordOf<4> { using Type = std::uint32_t; };
template <> struct WordOf<8> { using Type = std::uint64_t; };
template <> struct WordOf<16> { using Type = uint4; };

/// Calls f with a word of `bytes` bytes.
template <class F> void with_word(int bytes, const F& f) {
  switch (bytes) {
    case 1: return f(WordOf<1>::Type());
    case 2: return f(WordOf<2>::Type());
    case 4: return f(WordOf<4>::Type());
    case 8: return f(WordOf<8>::Type());
    default: return f(WordOf<16>::Type());
  }
}

/// The largest word, in bytes, of which everything here is a multiple.
class CommonWord {
 public:
  void add(std::int64_t bytes) { all_ |= static_cast<std::uint64_t>(bytes); }
  void add(const void* pointer) { all_ |= reinterpret_cast<std::uintptr_t>(pointer); }
  int bytes() const {
    int word = 16;
    while (all_ % static_cast<unsigned>(word) != 0) word /= 2;
    return word;
  }

 private:
  std::uint64_t all_ = 0;
};

/// The word for a copy of elements of `size` bytes.
inline int word_of(const CopyWalk& walk, std::int64_t size, const void* contiguous, const void* strided) {
  if (walk.rank == 0 || walk.stride[walk.rank - 1] != 1) return static_cast<int>(size);
  CommonWord word;
  word.add(contiguous);
  word.add(strided);
  word.add(walk.offset * size);
  for (int a = 0; a < walk.rank; ++a) word.add((a == walk.rank - 1 ? walk.extent[a] : walk.stride[a]) * size);
  return word.bytes();
}

/// The same walk over words of `count` elements.
inline CopyWalk in_words(CopyWalk walk, std::int64_t count) {
  if (count == 1) return walk;
  walk.offset /= count;
  for (int a = 0; a < walk.rank; ++a) (a == walk.rank - 1 ? walk.extent[a] : walk.stride[a]) /= count;
  return walk;
}

/// What a kernel needs of a walk: the axes innermost first.
struct DeviceWalk {
  int rank = 0;
  Divider extent[Shape::kMaxRank];
  std::int64_t stride[Shape::kMaxRank] = {};

  DeviceWalk() = default;
  explicit DeviceWalk(const CopyWalk& walk) : rank(walk.rank) {
    for (int a = 0; a < rank; ++a) {
      extent[a] = Divider(walk.extent[rank - 1 - a]);
      stride[a] = walk.stride[rank - 1 - a];
    }
  }
  __device__ std::int64_t offset(unsigned position) const {
    std::int64_t at = 0;
#pragma unroll
    for (int a = 0; a < Shape::kMaxRank; ++a) {
      if (a >= rank) break;
      at += (a + 1 < rank ? extent[a].split(position) : position) * stride[a];
    }
    return at;
  }
};

/// f(walk, position of its first word in the contiguous side) for parts of the walk, each below 2^31 words.
template <class F> void in_parts(CopyWalk walk, std::int64_t position, const F& f) {
  const std::int64_t n = walk.elements();
  if (n == 0) return;
  if (n <= kMostWords) return f(walk, position);
  const std::int64_t all = walk.extent[0], half = all / 2, inside = n / all;
  if (half == 0) {  // an outermost axis of extent 1
    for (int a = 1; a < walk.rank; ++a) {
      walk.extent[a - 1] = walk.extent[a];
      walk.stride[a - 1] = walk.stride[a];
    }
    --walk.rank;
    return in_parts(walk, position, f);
  }
  walk.extent[0] = half;
  in_parts(walk, position, f);
  walk.offset += half * walk.stride[0];
  walk.extent[0] = all - half;
  in_parts(walk, position + half * inside, f);
}

/// y (contiguous) = x along the walk (shape.cu). Elements of `size` bytes.
void copy_walk(const char* op, void* y, const void* x, const CopyWalk& walk, std::int64_t size);

/// Elements from one position of each axis of a contiguous array to the next.
struct ArrayStrides {
  std::int64_t of[Shape::kMaxRank] = {};
  explicit ArrayStrides(const Shape& shape) {
    std::int64_t elements = 1;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      of[a] = elements;
      elements *= shape[a];
    }
  }
};

}  // namespace gradus::inline v0::cuda
