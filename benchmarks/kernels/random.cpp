// Philox draws at 2^20 elements, and a permutation.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/random.h>

namespace gradus::costs {
namespace {

const Shape kMillion{1 << 20};
constexpr Key kKey{7, 1};
constexpr Bounds kVectors{.streams = true, .sectors = 16};

}  // namespace

void add_random(std::vector<Entry>& entries) {
  entries.push_back({"uniform [1048576]",
                     [](Operands& o) {
                       const auto y = o.out(kMillion);
                       return [=] { cuda::uniform(y, kKey, {}, 0, 1); };
                     },
                     kVectors});
  entries.push_back({"normal [1048576]",
                     [](Operands& o) {
                       const auto y = o.out(kMillion);
                       return [=] { cuda::normal(y, kKey, {}, 0, 1); };
                     },
                     kVectors});
  entries.push_back({"dropout [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::dropout(y, x, kKey, {}, 0.5); };
                     },
                     kVectors});
  static const Shape positions{1 << 16};
  entries.push_back({"permutation [65536]",
                     [](Operands& o) {
                       const auto index = o.out(positions, DType::i64);
                       const Workspace scratch = o.scratch(cuda::permutation_workspace_bytes(1 << 16));
                       return [=] { cuda::permutation(index, kKey, scratch); };
                     },
                     {}});
}

}  // namespace gradus::costs
