// The matrix products' ladder at 512^3 and the 3 x 3 convolution at [8, 64, 16, 16], with the bytes that their tilings ask.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/convolution.h>
#include <gradus/kernels/cuda/gemm.h>
#include <gradus/kernels/cuda/vendor.h>

namespace gradus::costs {
namespace {

constexpr std::int64_t kSide = 512;
const Shape kSquare{kSide, kSide};
constexpr Gemm kGemm{.m = kSide, .n = kSide, .k = kSide, .lda = kSide, .ldb = kSide, .ldc = kSide};

constexpr std::int64_t kImages = 8, kChannels = 64, kPlane = 16;
constexpr Conv2dShape kConv{.n = kImages,
                            .c = kChannels,
                            .h = kPlane,
                            .w = kPlane,
                            .k = kChannels,
                            .r = 3,
                            .s = 3,
                            .pad_h = 1,
                            .pad_w = 1,
                            .out_h = kPlane,
                            .out_w = kPlane};
const Shape kX{kImages, kChannels, kPlane, kPlane}, kW{kChannels, kChannels, 3, 3};
constexpr double kTile = 64;  // 64 x 64: 64 channels are too few for the large one

double over(double extent, double tile) { return static_cast<double>(static_cast<std::int64_t>((extent + tile - 1) / tile)); }

/// Of convolution.cu: weights, windows, out.
double conv_bytes(const Conv2dShape& v) {
  const auto rows = static_cast<double>(v.k), depth = static_cast<double>(v.c * v.r * v.s),
             pixels = static_cast<double>(v.n * v.out_h * v.out_w);
  return 4 * (rows * depth * over(pixels, kTile) + pixels * depth * over(rows, kTile) + rows * pixels);
}
/// Of convolution_weight.cu: dy, windows, dw; the segments follow from the scratch that the launcher asks for.
double conv_weight_bytes(const Conv2dShape& v) {
  const auto rows = static_cast<double>(v.k), columns = static_cast<double>(v.c * v.r * v.s),
             pixels = static_cast<double>(v.n * v.out_h * v.out_w);
  const bool vendor = cuda::use_vendor_libraries(false);  // the scratch of our own kernel
  const double scratch = static_cast<double>(cuda::conv2d_weight_grad_workspace_bytes(DType::f32, v));
  cuda::use_vendor_libraries(vendor);
  const double segments = scratch > 0 ? scratch / (4 * rows * columns) : 0;  // a single one writes dw itself
  return 4 * (rows * pixels * over(columns, kTile) + columns * pixels * over(rows, kTile) + (2 * segments + 1) * rows * columns);
}

void add_gemm(std::vector<Entry>& entries) {
  for (int version = 1; version <= cuda::kGemmVersions; ++version)
    entries.push_back({"gemm v" + std::to_string(version) + " [512, 512, 512]",
                       [=](Operands& o) {
                         const auto a = o.in(kSquare), b = o.in(kSquare);
                         const auto c = o.out(kSquare);
                         const Workspace scratch = o.scratch(cuda::gemm_version_workspace_bytes(DType::f32, kGemm));
                         return [=] { cuda::gemm_version(version, DType::f32, kGemm, c.data, a.data, b.data, nullptr, scratch); };
                       },
                       {.global_bytes = cuda::gemm_version_bytes(version, DType::f32, kGemm)}});
}

void add_convolution(std::vector<Entry>& entries) {
  entries.push_back({"conv2d 3x3 [8, 64, 16, 16] -> 64",
                     [](Operands& o) {
                       const auto x = o.in(kX), w = o.in(kW);
                       const auto y = o.out(kX);
                       const Workspace scratch = o.scratch(cuda::conv2d_workspace_bytes(DType::f32, kConv));
                       return [=] { cuda::conv2d(y, x, w, {}, kConv, scratch); };
                     },
                     {.global_bytes = conv_bytes(kConv)}});
  entries.push_back({"conv2d_input_grad 3x3 [8, 64, 16, 16] -> 64",
                     [](Operands& o) {
                       const auto dy = o.in(kX), w = o.in(kW);
                       const auto dx = o.out(kX);
                       const Workspace scratch = o.scratch(cuda::conv2d_input_grad_workspace_bytes(DType::f32, kConv));
                       return [=] { cuda::conv2d_input_grad(dx, dy, w, kConv, scratch); };
                     },
                     {.global_bytes = conv_bytes(kConv)}});
  entries.push_back({"conv2d_weight_grad 3x3 [8, 64, 16, 16] -> 64",
                     [](Operands& o) {
                       const auto x = o.in(kX), dy = o.in(kX);
                       const auto dw = o.out(kW);
                       const Workspace scratch = o.scratch(cuda::conv2d_weight_grad_workspace_bytes(DType::f32, kConv));
                       return [=] { cuda::conv2d_weight_grad(dw, x, dy, kConv, scratch); };
                     },
                     {.global_bytes = conv_weight_bytes(kConv)}});
}

}  // namespace

void add_products(std::vector<Entry>& entries) {
  add_gemm(entries);
  add_convolution(entries);
}

}  // namespace gradus::costs
