// Pooling and resampling of an image batch.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/pooling.h>
#include <gradus/kernels/resample.h>

namespace gradus::costs {
namespace {

const Shape kImages{32, 32, 32, 32}, kHalf{32, 32, 16, 16};
constexpr Pool2d kPool{
    .n = 32, .c = 32, .h = 32, .w = 32, .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .out_h = 16, .out_w = 16};

/// The place of each window's first pixel.
std::vector<std::int64_t> corners() {
  std::vector<std::int64_t> index;
  for (std::int64_t plane = 0; plane < kPool.n * kPool.c; ++plane)
    for (std::int64_t i = 0; i < kPool.out_h; ++i)
      for (std::int64_t j = 0; j < kPool.out_w; ++j) index.push_back(2 * i * kPool.w + 2 * j);
  return index;
}

}  // namespace

void add_images(std::vector<Entry>& entries) {
  entries.push_back({"max_pool2d 2x2 [32, 32, 32, 32]",
                     [](Operands& o) {
                       const auto x = o.in(kImages);
                       const auto y = o.out(kHalf), index = o.out(kHalf, DType::i64);
                       return [=] { cuda::max_pool2d(y, index, x, kPool); };
                     },
                     {}});
  entries.push_back({"max_pool2d_scatter 2x2 [32, 32, 32, 32]",
                     [](Operands& o) {
                       const auto dy = o.in(kHalf), index = o.in(kHalf, corners());
                       const auto dx = o.out(kImages);
                       return [=] { cuda::max_pool2d_scatter(dx, dy, index); };
                     },
                     {}});
  entries.push_back({"avg_pool2d 2x2 [32, 32, 32, 32]",
                     [](Operands& o) {
                       const auto x = o.in(kImages);
                       const auto y = o.out(kHalf);
                       return [=] { cuda::avg_pool2d(y, x, kPool); };
                     },
                     {}});
  entries.push_back({"avg_pool2d_backward 2x2 [32, 32, 32, 32]",
                     [](Operands& o) {
                       const auto dy = o.in(kHalf);
                       const auto dx = o.out(kImages);
                       return [=] { cuda::avg_pool2d_backward(dx, dy, kPool); };
                     },
                     {}});
  static const Shape pictures{64, 3, 32, 32}, matrices{64, 2, 3};
  entries.push_back({"affine_resample [64, 3, 32, 32]",
                     [](Operands& o) {
                       const auto x = o.in(pictures), m = o.in(matrices);
                       const auto y = o.out(pictures);
                       return [=] { cuda::affine_resample(y, x, m, 0); };
                     },
                     {}});
}

}  // namespace gradus::costs
