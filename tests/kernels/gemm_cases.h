// What the tests of matrix products of both devices share: a product by its sizes, and its name.
#pragma once

#include <cstdint>
#include <string>

#include <gradus/kernels/matmul.h>

namespace gradus::testing {

using Index = std::int64_t;

inline std::string text(const Gemm& g) {
  return std::to_string(g.batch) + " x [" + std::to_string(g.m) + ", " + std::to_string(g.n) + ", " + std::to_string(g.k) + "]" +
         (g.transpose_a ? " ta" : "") + (g.transpose_b ? " tb" : "") + (g.accumulate ? " accumulate" : "");
}

/// The product of that shape with rows `slack` longer than they need to be.
inline Gemm shape(Index m, Index n, Index k, bool ta, bool tb, Index slack = 0) {
  return {.m = m,
          .n = n,
          .k = k,
          .transpose_a = ta,
          .transpose_b = tb,
          .lda = (ta ? m : k) + slack,
          .ldb = (tb ? k : n) + slack,
          .ldc = n + slack};
}

}  // namespace gradus::testing
