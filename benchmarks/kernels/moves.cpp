// Kernels that read or write at computed positions: gathers, their adjoints, permutations, concatenation, padding.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/index.h>
#include <gradus/kernels/shape.h>

namespace gradus::costs {
namespace {

constexpr std::int64_t kRows = 4096, kColumns = 256;
const Shape kMatrix{kRows, kColumns}, kOfRows{kRows};

/// The rows in an order that jumps: 1237 is odd, so every row comes once.
std::vector<std::int64_t> shuffled_rows() {
  std::vector<std::int64_t> rows(kRows);
  for (std::int64_t i = 0; i < kRows; ++i) rows[static_cast<std::size_t>(i)] = i * 1237 % kRows;
  return rows;
}
/// For each element of [rows, columns] a position along the rows' axis: `together`, the same for a whole row.
std::vector<std::int64_t> positions(bool together) {
  std::vector<std::int64_t> at(kRows * kColumns);
  for (std::int64_t i = 0; i < kRows; ++i)
    for (std::int64_t j = 0; j < kColumns; ++j)
      at[static_cast<std::size_t>(i * kColumns + j)] = (i * 1237 + (together ? 0 : j * 611)) % kRows;
  return at;
}

void add_gathers(std::vector<Entry>& entries) {
  entries.push_back({"index_select [4096, 256] axis 0",
                     [](Operands& o) {
                       const auto x = o.in(kMatrix), index = o.in(kOfRows, shuffled_rows());
                       const auto y = o.out(kMatrix);
                       return [=] { cuda::index_select(y, x, index, 0); };
                     },
                     // The row's number is one sector for the lanes of a warp: two warps of 16 bytes a lane make a row of 256.
                     {.streams = true, .sectors = 16, .narrow = 2.0 * kRows}});
  entries.push_back({"gather [4096, 256] axis 0, whole rows",
                     [](Operands& o) {
                       const auto x = o.in(kMatrix), index = o.in(kMatrix, positions(true));
                       const auto y = o.out(kMatrix);
                       return [=] { cuda::gather(y, x, index, 0); };
                     },
                     {.streams = true}});
  // Every lane in a sector of its own: 32 bytes for 4, whatever the kernel does. With 8 of index and 4 of y that is 44 / 16 = 2.75 x.
  entries.push_back({"gather [4096, 256] axis 0, scattered",
                     [](Operands& o) {
                       const auto x = o.in(kMatrix), index = o.in(kMatrix, positions(false));
                       const auto y = o.out(kMatrix);
                       return [=] { cuda::gather(y, x, index, 0); };
                     },
                     {}});
  entries.push_back({"index_add [4096, 256] axis 0",
                     [](Operands& o) {
                       const auto x = o.in(kMatrix), index = o.in(kOfRows, shuffled_rows());
                       const auto y = o.inout(kMatrix);
                       return [=] { cuda::index_add(y, x, index, 0); };
                     },
                     {}});
  entries.push_back({"scatter_add [4096, 256] axis 0",
                     [](Operands& o) {
                       const auto x = o.in(kMatrix), index = o.in(kMatrix, positions(true));
                       const auto y = o.inout(kMatrix);
                       return [=] { cuda::scatter_add(y, x, index, 0); };
                     },
                     {}});
}

void add_permutations(std::vector<Entry>& entries) {
  static const Shape square{1024, 1024}, nchw{32, 64, 32, 16}, nhwc{32, 32, 16, 64};
  entries.push_back({"permute [1024, 1024] (1, 0)",
                     [](Operands& o) {
                       const auto x = o.in(square);
                       const auto y = o.out(square);
                       return [=] {
                         const int axes[] = {1, 0};
                         cuda::permute(y, x, axes);
                       };
                     },
                     {}});
  entries.push_back({"permute NCHW -> NHWC [32, 64, 32, 16]",
                     [](Operands& o) {
                       const auto x = o.in(nchw);
                       const auto y = o.out(nhwc);
                       return [=] {
                         const int axes[] = {0, 2, 3, 1};
                         cuda::permute(y, x, axes);
                       };
                     },
                     {}});
}

void add_joins(std::vector<Entry>& entries) {
  static const Shape half{1024, 512}, whole{1024, 1024}, small{64, 16, 30, 30}, framed{64, 16, 32, 32};
  entries.push_back({"concat 2 x [1024, 512] axis 1",
                     [](Operands& o) {
                       const ConstArray parts[] = {o.in(half), o.in(half)};
                       const auto y = o.out(whole);
                       return [=] { cuda::concat(y, parts, 2, 1); };
                     },
                     {}});
  entries.push_back({"pad [64, 16, 30, 30] by 1",
                     [](Operands& o) {
                       const auto x = o.in(small);
                       const auto y = o.out(framed);
                       return [=] {
                         const std::int64_t low[] = {0, 0, 1, 1};
                         cuda::pad(y, x, low, 0);
                       };
                     },
                     {}});
  entries.push_back({"flip [1024, 1024] axis 1",
                     [](Operands& o) {
                       const auto x = o.in(whole);
                       const auto y = o.out(whole);
                       return [=] { cuda::flip(y, x, 2); };
                     },
                     {}});
}

}  // namespace

void add_moves(std::vector<Entry>& entries) {
  add_gathers(entries);
  add_permutations(entries);
  add_joins(entries);
}

}  // namespace gradus::costs
