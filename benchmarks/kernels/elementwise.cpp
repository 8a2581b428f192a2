// Elementwise kernels and the PGD step, at 2^20 elements or [4096, 1024].
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/adversarial.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::costs {
namespace {

const Shape kMillion{1 << 20};
constexpr Bounds kVectors{.streams = true, .sectors = 16};
constexpr Bounds kMixed{.streams = true};  // operands of several widths

void add_plain(std::vector<Entry>& entries) {
  entries.push_back({"exp [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::exp(y, x); };
                     },
                     kVectors});
  entries.push_back({"gelu [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::gelu(y, x); };
                     },
                     kVectors});
  entries.push_back({"gelu_backward [1048576]",
                     [](Operands& o) {
                       const auto dy = o.in(kMillion), x = o.in(kMillion);
                       const auto dx = o.out(kMillion);
                       return [=] { cuda::gelu_backward(dx, dy, x); };
                     },
                     kVectors});
  entries.push_back({"affine [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::affine(y, x, 2, 1); };
                     },
                     kVectors});
  entries.push_back({"mul [1048576]",
                     [](Operands& o) {
                       const auto a = o.in(kMillion), b = o.in(kMillion);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::mul(y, a, b); };
                     },
                     kVectors});
}

void add_broadcast(std::vector<Entry>& entries) {
  static const Shape matrix{1024, 1024}, row{1024}, column{1024, 1};
  // The row is read again by every row of the matrix: 16 sectors a request like the rest, but from cache, so touched exceeds compulsory.
  entries.push_back({"add [1024, 1024] + [1024]",
                     [](Operands& o) {
                       const auto a = o.in(matrix), b = o.in(row);
                       const auto y = o.out(matrix);
                       return [=] { cuda::add(y, a, b); };
                     },
                     {.sectors = 16}});
  entries.push_back({"mul [1024, 1024] * [1024, 1]",
                     [](Operands& o) {
                       const auto a = o.in(matrix), b = o.in(column);
                       const auto y = o.out(matrix);
                       return [=] { cuda::mul(y, a, b); };
                     },
                     {}});
}

void add_mixed(std::vector<Entry>& entries) {
  entries.push_back({"where [1048576]",
                     [](Operands& o) {
                       const auto condition = o.in(kMillion, DType::boolean), a = o.in(kMillion), b = o.in(kMillion);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::where(y, condition, a, b); };
                     },
                     kMixed});
  entries.push_back({"less [1048576]",
                     [](Operands& o) {
                       const auto a = o.in(kMillion), b = o.in(kMillion);
                       const auto y = o.out(kMillion, DType::boolean);
                       return [=] { cuda::less(y, a, b); };
                     },
                     kMixed});
  entries.push_back({"cast f32 -> bf16 [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion);
                       const auto y = o.out(kMillion, DType::bf16);
                       return [=] { cuda::cast(y, x); };
                     },
                     kMixed});
  entries.push_back({"cast u8 -> f32 [1048576]",
                     [](Operands& o) {
                       const auto x = o.in(kMillion, DType::u8);
                       const auto y = o.out(kMillion);
                       return [=] { cuda::cast(y, x); };
                     },
                     kMixed});
}

void add_adversarial(std::vector<Entry>& entries) {
  entries.push_back({"pgd_linf_step [1048576]",
                     [](Operands& o) {
                       const auto gradient = o.in(kMillion), lower = o.in(kMillion), upper = o.in(kMillion);
                       const auto x = o.inout(kMillion);
                       return [=] { cuda::pgd_linf_step(x, x, gradient, lower, upper, 0.01); };
                     },
                     kVectors});
  static const Shape images{64, 3072};
  entries.push_back({"l2_project [64, 3072]",
                     [](Operands& o) {
                       const auto x = o.in(images), moved = o.in(images);
                       const auto y = o.out(images);
                       return [=] { cuda::l2_project(y, x, moved, 0.5, -1, 1); };
                     },
                     {}});
}

}  // namespace

void add_elementwise(std::vector<Entry>& entries) {
  add_plain(entries);
  add_broadcast(entries);
  add_mixed(entries);
  add_adversarial(entries);
}

}  // namespace gradus::costs
