// SHA-256 (FIPS 180-4), to tell data files apart from damaged or other ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gradus::experiments {

class Sha256 {
 public:
  void add(std::span<const unsigned char> bytes);
  void add(const std::string& text) { add({reinterpret_cast<const unsigned char*>(text.data()), text.size()}); }
  /// 64 hexadecimal digits. Nothing can be added afterwards.
  std::string hex();

 private:
  void take_block(const unsigned char* block);

  std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned char pending_[64] = {};
  std::uint64_t bytes_ = 0;
};

std::string sha256(const std::string& content);

}  // namespace gradus::experiments
