// cuBLAS and cuDNN behind their interfaces, against the hand-written kernels; and under the emulator their stand-ins' checks of arguments.
#include <string>
#include <tuple>

#include <gradus/kernels/convolution.h>
#include <gradus/kernels/cuda/vendor.h>
#include <gradus/kernels/matmul.h>
#include <gradus/tests/kernels/cuda/support.h>

#if defined(GRADUS_CUDA_EMULATED)
#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/count/counters.h>
#include <unistd.h>
#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#define GRADUS_TEST_CUBLAS
#endif
#if __has_include(<cudnn.h>)
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <cudnn.h>
#define GRADUS_TEST_CUDNN
#endif
#endif

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;

/// While it lives, the libraries are in use, or are not.
struct Vendors {
  bool before;
  explicit Vendors(bool use) : before(cuda::use_vendor_libraries(use)) {}
  ~Vendors() { cuda::use_vendor_libraries(before); }
};

Index last(Index batch, Index stride, Index rows, Index ld, Index columns) { return (batch - 1) * stride + (rows - 1) * ld + columns; }

template <class T> std::vector<T> product(const Gemm& g, bool biased) {
  const auto flat = [](Index n) { return Shape{n}; };
  const Index a_size = last(g.batch, g.stride_a, g.transpose_a ? g.k : g.m, g.lda, g.transpose_a ? g.m : g.k);
  const Index b_size = last(g.batch, g.stride_b, g.transpose_b ? g.n : g.k, g.ldb, g.transpose_b ? g.k : g.n);
  const Index c_size = last(g.batch, g.stride_c, g.m, g.ldc, g.n);
  auto a = device_array(random_values<T>(a_size, 1, -1, 1), flat(a_size)),
       b = device_array(random_values<T>(b_size, 2, -1, 1), flat(b_size));
  auto c = device_array(random_values<T>(c_size, 3, -1, 1), flat(c_size)), bias = device_array(random_values<T>(g.n, 4, -1, 1), flat(g.n));
  const DeviceWorkspace scratch = workspace(cuda::gemm_workspace_bytes(dtype_of<T>, g));
  cuda::gemm(dtype_of<T>, g, c.data(), a.data(), b.data(), biased ? bias.data() : nullptr, scratch.workspace());
  return c.values();
}

template <class T> void compare_products(const Gemm& g, bool biased) {
  INFO(g.m, " x ", g.n, " x ", g.k, (g.transpose_a ? " ta" : ""), (g.transpose_b ? " tb" : ""), " f", 8 * sizeof(T));
  const Vendors own(false);
  const std::vector<T> expected = product<T>(g, biased);
  const Vendors vendor(true);
  const double tolerance = 8 * std::numeric_limits<T>::epsilon();
  check_close(product<T>(g, biased), expected, tolerance, tolerance * static_cast<double>(g.k));
}

Conv2dShape conv(Index n, Index c, Index h, Index w, Index k, Index r, Index s, Index stride, Index pad, Index groups) {
  return {n, c, h, w, k, r, s, stride, stride, pad, pad, groups, (h + 2 * pad - r) / stride + 1, (w + 2 * pad - s) / stride + 1};
}

template <class T> struct Convolved {
  std::vector<T> y, dx, dw;

  explicit Convolved(const Conv2dShape& v) {
    const Shape x_shape{v.n, v.c, v.h, v.w}, w_shape{v.k, v.c / v.groups, v.r, v.s}, y_shape{v.n, v.k, v.out_h, v.out_w};
    auto x = device_array(random_values<T>(x_shape.elements(), 1, -1, 1), x_shape);
    auto w = device_array(random_values<T>(w_shape.elements(), 2, -1, 1), w_shape);
    auto d = device_array(random_values<T>(y_shape.elements(), 3, -1, 1), y_shape);
    auto bias = device_array(random_values<T>(v.k, 4, -1, 1), {v.k});
    auto out = device_output<T>(y_shape), dx_out = device_output<T>(x_shape), dw_out = device_output<T>(w_shape);
    const DeviceWorkspace forward = workspace(cuda::conv2d_workspace_bytes(dtype_of<T>, v));
    cuda::conv2d(out.array(), x.array(), w.array(), bias.array(), v, forward.workspace());
    const DeviceWorkspace input = workspace(cuda::conv2d_input_grad_workspace_bytes(dtype_of<T>, v));
    cuda::conv2d_input_grad(dx_out.array(), d.array(), w.array(), v, input.workspace());
    const DeviceWorkspace weight = workspace(cuda::conv2d_weight_grad_workspace_bytes(dtype_of<T>, v));
    cuda::conv2d_weight_grad(dw_out.array(), x.array(), d.array(), v, weight.workspace());
    y = out.values(), dx = dx_out.values(), dw = dw_out.values();
  }
};

template <class T> void compare_convolutions(const Conv2dShape& v) {
  INFO(v.n, " ", v.c, " ", v.h, " ", v.w, " ", v.k, " ", v.r, " ", v.s, " ", v.stride_h, " ", v.pad_h, " ", v.groups, " f", 8 * sizeof(T));
  const Vendors own(false);
  const Convolved<T> expected(v);
  const Vendors vendor(true);
  const Convolved<T> got(v);
  const double eps = std::numeric_limits<T>::epsilon(), taps = static_cast<double>(v.c * v.r * v.s);
  check_close(got.y, expected.y, 8 * eps, eps * taps);
  check_close(got.dx, expected.dx, 8 * eps, eps * static_cast<double>(v.k * v.r * v.s));
  check_close(got.dw, expected.dw, 8 * eps, eps * static_cast<double>(v.n * v.out_h * v.out_w));
}

}  // namespace

TEST_CASE("cuda vendor: products by cuBLAS are those of the hand-written kernels") {
  const Vendors vendor(true);
  if (!cuda::uses_cublas()) {
    MESSAGE("SKIP: built without cuBLAS");
    return;
  }
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      Gemm g{
          .m = 7, .n = 12, .k = 20, .transpose_a = ta, .transpose_b = tb, .lda = (ta ? 7 : 20) + 2, .ldb = (tb ? 20 : 12) + 1, .ldc = 15};
      compare_products<float>(g, true);
      compare_products<double>(g, false);
      g.accumulate = true;
      compare_products<float>(g, true);
      g.batch = 3, g.stride_a = 500, g.stride_b = 600, g.stride_c = 200;
      compare_products<float>(g, true);
      compare_products<double>(g, true);
      g.stride_b = 0;
      compare_products<float>(g, false);
      for (const auto& [m, n, k] : {std::tuple<Index, Index, Index>{1, 6, 5}, {6, 1, 5}, {6, 5, 1}, {6, 5, 0}}) {
        const Gemm thin{.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb, .lda = ta ? m : k, .ldb = tb ? k : n, .ldc = n};
        if (k > 0) compare_products<float>(thin, true);
      }
    }
  compare_products<float>({.m = 4, .n = 9, .k = 1, .lda = 1, .ldb = 0, .ldc = 9}, false);
  compare_products<float>({.m = 4, .n = 9, .k = 5, .lda = 2, .ldb = 9, .ldc = 9}, false);  // rows that overlap: not the library's
  compare_products<float>(
      {.m = 6, .n = 4, .k = 5, .lda = 5, .ldb = 4, .ldc = 12, .batch = 3, .stride_a = 30, .stride_b = 20, .stride_c = 4},
      false);  // items side by side in a wider matrix
}

TEST_CASE("cuda vendor: convolutions by cuDNN are those of the hand-written kernels") {
  const Vendors vendor(true);
  if (!cuda::uses_cudnn()) {
    MESSAGE("SKIP: built without cuDNN");
    return;
  }
  for (const Conv2dShape& v : {conv(2, 3, 8, 9, 5, 3, 3, 1, 1, 1), conv(2, 4, 9, 7, 6, 3, 2, 2, 1, 2), conv(1, 6, 5, 6, 6, 3, 3, 1, 1, 6),
                               conv(3, 2, 6, 6, 4, 1, 1, 1, 0, 1), conv(1, 2, 3, 3, 2, 5, 5, 2, 3, 1), conv(0, 2, 4, 4, 3, 3, 3, 1, 1, 1),
                               conv(2, 0, 4, 4, 3, 3, 3, 1, 1, 1)}) {
    compare_convolutions<float>(v);
    compare_convolutions<double>(v);
  }
}

#if defined(GRADUS_TEST_CUBLAS) || defined(GRADUS_TEST_CUDNN)
namespace {

/// What f() writes to stderr.
template <class F> std::string said(const F& f) {
  std::FILE* const file = std::tmpfile();
  std::fflush(stderr);
  const int kept = dup(2);
  dup2(fileno(file), 2);
  f();
  std::fflush(stderr);
  dup2(kept, 2);
  close(kept);
  std::string text;
  std::fseek(file, 0, SEEK_END);
  text.resize(static_cast<std::size_t>(std::ftell(file)));
  std::rewind(file);
  REQUIRE(std::fread(text.data(), 1, text.size(), file) == text.size());
  std::fclose(file);
  return text;
}

bool names(const std::string& text, const char* argument) { return text.find("`" + std::string(argument) + "`") != std::string::npos; }

}  // namespace
#endif

#if defined(GRADUS_TEST_CUBLAS)
TEST_CASE("cuda vendor: cuBLAS's stand-in names wrong arguments") {
  struct Arguments {
    cublasOperation_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_T;
    Index m = 3, n = 4, k = 5, lda = 3, ldb = 4, ldc = 3;
    bool alpha = true, c = true;
    Index offset = 0, batch = 1, stride_c = 12;
  };
  auto b = device_array(std::vector<float>(20, 2.0f), {20});
  auto c = device_output<float>({36});
  auto a = device_array(std::vector<float>(15, 1.0f), {15});
  cublasHandle_t handle = nullptr;
  REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cublasSetStream(handle, static_cast<cudaStream_t>(cuda::stream())) == CUBLAS_STATUS_SUCCESS);
  const float one = 1, zero = 0;
  const auto call = [&](const Arguments& g, cublasHandle_t with) {
    return cublasSgemmStridedBatched_64(with, g.transa, g.transb, g.m, g.n, g.k, g.alpha ? &one : nullptr, a.data() + g.offset, g.lda, 0,
                                        b.data(), g.ldb, 0, &zero, g.c ? c.data() : nullptr, g.ldc, g.stride_c, g.batch);
  };
  const auto rejects = [&](const Arguments& g, const char* argument) {
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    const std::string text = said([&] { status = call(g, handle); });
    INFO(argument, ": ", text);
    CHECK(status == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(names(text, argument));
  };
  CHECK(call({}, handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(call({.batch = 3}, handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values() == std::vector<float>(36, 10.0f));
  rejects({.transa = static_cast<cublasOperation_t>(9)}, "transa");
  rejects({.m = -1}, "m");
  rejects({.lda = 2}, "lda");
  rejects({.transa = CUBLAS_OP_T, .lda = 4}, "lda");
  rejects({.ldb = 3}, "ldb");
  rejects({.transb = CUBLAS_OP_N, .ldb = 4}, "ldb");
  rejects({.ldc = 2}, "ldc");
  rejects({.alpha = false}, "alpha");
  rejects({.c = false}, "C");
  rejects({.batch = 2, .stride_c = 6}, "strideC");
  rejects({.batch = -2}, "batchCount");
  std::vector<emulator::Finding> findings;  // an operand that passes its allocation's end is a finding of the emulator
  emulator::Report::instance().set_sink([&](const emulator::Finding& finding) { findings.push_back(finding); });
  CHECK(call({.transa = CUBLAS_OP_T, .transb = CUBLAS_OP_T, .lda = 1000}, handle) == CUBLAS_STATUS_INVALID_VALUE);
  emulator::Report::instance().set_sink({});
  emulator::Report::instance().clear();
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].kind == emulator::Kind::out_of_bounds);
  CHECK(names(findings[0].text, "A"));
  std::string text = said([&] { CHECK(call({}, nullptr) == CUBLAS_STATUS_NOT_INITIALIZED); });
  CHECK(names(text, "handle"));
  CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS);
  text = said([&] { CHECK(call({}, handle) == CUBLAS_STATUS_NOT_INITIALIZED); });
  CHECK(names(text, "handle"));
}

TEST_CASE("cuda vendor: cuBLAS's stand-in counts FLOPs and compulsory bytes") {
  const Vendors vendor(true);
  if (!cuda::uses_cublas()) return;
  emulator::counters_by_kernel().clear();
  product<float>({.m = 6, .n = 8, .k = 10, .lda = 10, .ldb = 8, .ldc = 8, .batch = 2, .stride_a = 60, .stride_b = 80, .stride_c = 48},
                 false);
  const emulator::Counters& c = emulator::counters_by_kernel()["cublasSgemmStridedBatched"];
  CHECK(c.launches == 1);
  CHECK(c.flops == 2 * 2 * 6 * 8 * 10);
  CHECK(c.bytes_compulsory == 2 * 4 * (60 + 80 + 48));
}
#endif

#if defined(GRADUS_TEST_CUDNN)
TEST_CASE("cuda vendor: cuDNN's stand-in names wrong arguments and descriptors that disagree") {
  cudnnHandle_t handle = nullptr;
  cudnnTensorDescriptor_t x = nullptr, y = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t v = nullptr;
  REQUIRE(cudnnCreate(&handle) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnSetStream(handle, static_cast<cudaStream_t>(cuda::stream())) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnCreateTensorDescriptor(&x) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnCreateTensorDescriptor(&y) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnCreateFilterDescriptor(&w) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnCreateConvolutionDescriptor(&v) == CUDNN_STATUS_SUCCESS);
  const auto rejects = [](const char* argument, const auto& f) {
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    const std::string text = said([&] { status = f(); });
    INFO(argument, ": ", text, " ", cudnnGetErrorString(status));
    CHECK(status != CUDNN_STATUS_SUCCESS);
    CHECK(names(text, argument));
  };
  constexpr auto kFloat = CUDNN_DATA_FLOAT;
  constexpr auto kNchw = CUDNN_TENSOR_NCHW;
  constexpr auto kAlgorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
  rejects("h", [&] { return cudnnSetTensor4dDescriptor(x, kNchw, kFloat, 1, 2, 0, 4); });
  rejects("format", [&] { return cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, kFloat, 1, 2, 4, 4); });
  rejects("dataType", [&] { return cudnnSetTensor4dDescriptor(x, kNchw, CUDNN_DATA_HALF, 1, 2, 4, 4); });
  rejects("w", [&] { return cudnnSetTensor4dDescriptor(x, kNchw, kFloat, 1 << 10, 1 << 10, 1 << 10, 2); });
  REQUIRE(cudnnSetTensor4dDescriptor(x, kNchw, kFloat, 1, 2, 4, 4) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnSetFilter4dDescriptor(w, kFloat, kNchw, 3, 2, 3, 3) == CUDNN_STATUS_SUCCESS);
  rejects("u", [&] { return cudnnSetConvolution2dDescriptor(v, 1, 1, 0, 1, 1, 1, CUDNN_CROSS_CORRELATION, kFloat); });
  rejects("dilation_h", [&] { return cudnnSetConvolution2dDescriptor(v, 1, 1, 1, 1, 2, 1, CUDNN_CROSS_CORRELATION, kFloat); });
  rejects("mode", [&] { return cudnnSetConvolution2dDescriptor(v, 1, 1, 1, 1, 1, 1, CUDNN_CONVOLUTION, kFloat); });
  REQUIRE(cudnnSetConvolution2dDescriptor(v, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, kFloat) == CUDNN_STATUS_SUCCESS);
  rejects("groupCount", [&] { return cudnnSetConvolutionGroupCount(v, 0); });
  rejects("mathType", [&] { return cudnnSetConvolutionMathType(v, CUDNN_TENSOR_OP_MATH); });

  std::size_t bytes = 0;
  const auto measure = [&] { return cudnnGetConvolutionForwardWorkspaceSize(handle, x, w, v, y, kAlgorithm, &bytes); };
  rejects("yDesc", measure);  // never set
  REQUIRE(cudnnSetTensor4dDescriptor(y, kNchw, kFloat, 1, 3, 4, 5) == CUDNN_STATUS_SUCCESS);
  rejects("yDesc", measure);  // not what x and w make
  REQUIRE(cudnnSetTensor4dDescriptor(y, kNchw, CUDNN_DATA_DOUBLE, 1, 3, 4, 4) == CUDNN_STATUS_SUCCESS);
  rejects("yDesc", measure);  // another type
  REQUIRE(cudnnSetTensor4dDescriptor(y, kNchw, kFloat, 1, 3, 4, 4) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudnnSetConvolutionGroupCount(v, 2) == CUDNN_STATUS_SUCCESS);
  rejects("wDesc", measure);
  REQUIRE(cudnnSetConvolutionGroupCount(v, 1) == CUDNN_STATUS_SUCCESS);
  REQUIRE(measure() == CUDNN_STATUS_SUCCESS);
  rejects("algo", [&] { return cudnnGetConvolutionForwardWorkspaceSize(handle, x, w, v, y, CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, &bytes); });

  auto x_data = device_array(std::vector<float>(32, 1.0f), {32}), w_data = device_array(std::vector<float>(54, 1.0f), {54});
  auto y_data = device_output<float>({48});
  const DeviceWorkspace scratch = workspace(bytes);
  const float one = 1, zero = 0;
  const auto run = [&](const float* alpha, const void* from, std::size_t room, cudnnHandle_t with) {
    return cudnnConvolutionForward(with, alpha, x, from, w, w_data.data(), v, kAlgorithm, scratch.workspace().data, room, &zero, y,
                                   y_data.data());
  };
  rejects("alpha", [&] { return run(nullptr, x_data.data(), bytes, handle); });
  rejects("x", [&] { return run(&one, nullptr, bytes, handle); });
  rejects("workSpaceSizeInBytes", [&] { return run(&one, x_data.data(), bytes - 1, handle); });
  rejects("handle", [&] { return run(&one, x_data.data(), bytes, nullptr); });
  CHECK(run(&one, x_data.data(), bytes, handle) == CUDNN_STATUS_SUCCESS);
  CHECK(y_data.values()[5] == 18.0f);  // an inner pixel: 2 channels, 9 taps
  CHECK(cudnnDestroyConvolutionDescriptor(v) == CUDNN_STATUS_SUCCESS);
  rejects("convDesc", measure);
  CHECK(cudnnDestroyFilterDescriptor(w) == CUDNN_STATUS_SUCCESS);
  CHECK(cudnnDestroyTensorDescriptor(x) == CUDNN_STATUS_SUCCESS);
  CHECK(cudnnDestroyTensorDescriptor(y) == CUDNN_STATUS_SUCCESS);
  CHECK(cudnnDestroy(handle) == CUDNN_STATUS_SUCCESS);
}
#endif
