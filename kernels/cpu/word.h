// Elements by their size alone, for kernels that only move them.
#pragma once

#include <cstdint>

namespace gradus::inline v0::cpu {

/// Word<kSize>: an integer of 1, 2, 4 or 8 bytes through which an element of any type may be read and written.
template <int kSize> struct Element;
template <> struct Element<1> { typedef std::uint8_t Word __attribute__((may_alias)); };
template <> struct Element<2> { typedef std::uint16_t Word __attribute__((may_alias)); };
template <> struct Element<4> { typedef std::uint32_t Word __attribute__((may_alias)); };
template <> struct Element<8> { typedef std::uint64_t Word __attribute__((may_alias)); };
template <int kSize> using Word = typename Element<kSize>::Word;

}  // namespace gradus::inline v0::cpu
