// Runs one scalar instruction over special values and compares it with a reference.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "alu_reference.h"
#include "ptx_kernel.h"

namespace alu {

using emulator_test::Input;
using emulator_test::Lanes;

/// The three operands as raw bits -> the result as raw bits.
using Reference = std::function<U64(U64, U64, U64)>;

inline std::string register_type(const std::string& type) {
  return type == "pred" || type[0] == 'f' ? type : "b" + std::to_string(std::max(16, width_of(type)));
}

/// Runs `text` (with %d0, %a0 ...) over all pairs of special values.
inline void check(const std::string& text, const std::string& result, const std::vector<std::string>& types, const Reference& reference) {
  constexpr std::size_t kValues = 32;
  std::string unrolled;
  const std::size_t rounds = types.size() > 1 ? kValues : 1;
  std::vector<std::vector<U64>> values;
  for (const std::string& t : types) values.push_back(special_values(t));
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<Input> inputs;
    for (std::size_t k = 0; k < types.size(); ++k) {
      const std::size_t shift = k == 0 ? 0 : k == 1 ? round : 3 * round + 5;
      inputs.push_back({register_type(types[k]), emulator_test::lanes([&](std::size_t l) { return values[k][(l + shift) % kValues]; })});
    }
    const Lanes got = emulator_test::run_lines(text, {register_type(result)}, inputs)[0];
    for (std::size_t l = 0; l < kValues; ++l) {
      U64 v[3] = {};
      for (std::size_t k = 0; k < types.size(); ++k) v[k] = inputs[k].values[l];
      const U64 expected = reference(v[0], v[1], v[2]);
      if (same(got[l], expected, result)) continue;
      INFO(text << " of " << std::hex << v[0] << ", " << v[1] << ", " << v[2] << ": " << got[l] << " instead of " << expected);
      CHECK(got[l] == expected);
      return;  // one is enough
    }
  }
  CHECK(true);
}

inline std::string line(const std::string& opcode, int sources) {
  std::string text = opcode + " %d0";
  for (int k = 0; k < sources; ++k) text += ", %a" + std::to_string(k);
  return text + ";";
}

}  // namespace alu
