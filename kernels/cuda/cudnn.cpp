#if defined(GRADUS_CUDNN)

#include <gradus/kernels/cuda/cudnn.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // see cudnn.h

#include <cudnn.h>

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <gradus/kernels/device.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr const char* kNames[] = {"conv2d", "conv2d_input_grad", "conv2d_weight_grad"};

void check(cudnnStatus_t status, CudnnOp op, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw CudaError(std::string("[") + kNames[static_cast<int>(op)] + "] " + call + ": " + cudnnGetErrorString(status) + " (cuDNN status " +
                  std::to_string(int{status}) + ")");
}

/// The library's state of one thread, bound to its stream.
class Handle {
 public:
  explicit Handle(CudnnOp op) {
    check(cudnnCreate(&handle_), op, "cudnnCreate");
    check(cudnnSetStream(handle_, static_cast<cudaStream_t>(stream())), op, "cudnnSetStream");
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { cudnnDestroy(handle_); }  // at the end of a thread: an error has nobody to go to
  operator cudnnHandle_t() const { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};
cudnnHandle_t handle(CudnnOp op) {
  static thread_local const Handle instance(op);
  return instance;
}

template <class D, cudnnStatus_t (*kCreate)(D*), cudnnStatus_t (*kDestroy)(D)> class Descriptor {
 public:
  explicit Descriptor(CudnnOp op) { check(kCreate(&descriptor_), op, "create a descriptor"); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { kDestroy(descriptor_); }
  operator D() const { return descriptor_; }

 private:
  D descriptor_ = nullptr;
};
using TensorDescriptor = Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using FilterDescriptor = Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor = Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;

// The fastest deterministic algorithms that take f32 and f64, groups and strides. (Algorithm 0 of either gradient adds by atomics.)
constexpr auto kForward = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
constexpr auto kInputGrad = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
constexpr auto kWeightGrad = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

/// What the library is told about one convolution.
struct Plan {
  TensorDescriptor x, y;
  FilterDescriptor w;
  ConvolutionDescriptor convolution;
  std::size_t workspace = 0;
  bool supported = true;

  Plan(CudnnOp op, DType dtype, const Conv2dShape& v) : x(op), y(op), w(op), convolution(op) {
    const cudnnDataType_t type = dtype == DType::f32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_DOUBLE;
    const auto n = [](std::int64_t extent) { return static_cast<int>(extent); };
    check(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NCHW, type, n(v.n), n(v.c), n(v.h), n(v.w)), op, "describe x");
    check(cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NCHW, type, n(v.n), n(v.k), n(v.out_h), n(v.out_w)), op, "describe y");
    check(cudnnSetFilter4dDescriptor(w, type, CUDNN_TENSOR_NCHW, n(v.k), n(v.c / v.groups), n(v.r), n(v.s)), op, "describe w");
    check(cudnnSetConvolution2dDescriptor(convolution, n(v.pad_h), n(v.pad_w), n(v.stride_h), n(v.stride_w), 1, 1, CUDNN_CROSS_CORRELATION,
                                          type),
          op, "describe the convolution");
    check(cudnnSetConvolutionGroupCount(convolution, n(v.groups)), op, "cudnnSetConvolutionGroupCount");
    check(cudnnSetConvolutionMathType(convolution, CUDNN_FMA_MATH), op, "cudnnSetConvolutionMathType");
    const cudnnStatus_t status = measure(op);
    supported = status / 1000 != CUDNN_STATUS_NOT_SUPPORTED / 1000;
    if (supported) check(status, op, "measure the workspace");
  }

 private:
  cudnnStatus_t measure(CudnnOp op) {
    switch (op) {
      case CudnnOp::forward: return cudnnGetConvolutionForwardWorkspaceSize(handle(op), x, w, convolution, y, kForward, &workspace);
      case CudnnOp::input_grad:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(handle(op), w, y, convolution, x, kInputGrad, &workspace);
      default: return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle(op), x, y, convolution, w, kWeightGrad, &workspace);
    }
  }
};

/// Plans of this thread, kept: a training step asks for the same ones again and again.
const Plan& plan_of(CudnnOp op, DType dtype, const Conv2dShape& v) {
  constexpr std::size_t kMost = 512;  // a network's three products a layer; a program with endless shapes starts again
  using Key = std::array<std::int64_t, 14>;
  static thread_local std::map<Key, std::unique_ptr<const Plan>> plans;
  const Key key{static_cast<std::int64_t>(op) * 2 + (dtype == DType::f64),
                v.n,
                v.c,
                v.h,
                v.w,
                v.k,
                v.r,
                v.s,
                v.stride_h,
                v.stride_w,
                v.pad_h,
                v.pad_w,
                v.groups,
                v.out_h * v.out_w};
  if (const auto found = plans.find(key); found != plans.end()) return *found->second;
  auto plan = std::make_unique<const Plan>(op, dtype, v);
  if (plans.size() >= kMost) plans.clear();
  return *plans.emplace(key, std::move(plan)).first->second;
}

/// 1 and 0 as the library reads them: by address, f64 for f64 arrays, f32 otherwise.
struct Scales {
  double one64 = 1, zero64 = 0;
  float one32 = 1, zero32 = 0;
  bool wide;

  explicit Scales(DType dtype) : wide(dtype == DType::f64) {}
  const void* one() const { return wide ? static_cast<const void*>(&one64) : &one32; }
  const void* zero() const { return wide ? static_cast<const void*>(&zero64) : &zero32; }
};

}  // namespace

bool cudnn_takes(CudnnOp op, DType dtype, const Conv2dShape& v) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  const auto fits = [](std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return a > 0 && b > 0 && c > 0 && d > 0 && a <= kMost / b / c / d;
  };
  return fits(v.n, v.c, v.h, v.w) && fits(v.n, v.k, v.out_h, v.out_w) && fits(v.k, v.c, v.r, v.s) && plan_of(op, dtype, v).supported;
}

std::size_t cudnn_workspace_bytes(CudnnOp op, DType dtype, const Conv2dShape& v) { return plan_of(op, dtype, v).workspace; }

void cudnn_convolve(DType dtype, const Conv2dShape& v, void* y, const void* x, const void* w, Workspace workspace) {
  constexpr CudnnOp op = CudnnOp::forward;
  const Plan& p = plan_of(op, dtype, v);
  const Scales s(dtype);
  check(cudnnConvolutionForward(handle(op), s.one(), p.x, x, p.w, w, p.convolution, kForward, workspace.data, workspace.bytes, s.zero(),
                                p.y, y),
        op, "cudnnConvolutionForward");
}
void cudnn_input_grad(DType dtype, const Conv2dShape& v, void* dx, const void* dy, const void* w, Workspace workspace) {
  constexpr CudnnOp op = CudnnOp::input_grad;
  const Plan& p = plan_of(op, dtype, v);
  const Scales s(dtype);
  check(cudnnConvolutionBackwardData(handle(op), s.one(), p.w, w, p.y, dy, p.convolution, kInputGrad, workspace.data, workspace.bytes,
                                     s.zero(), p.x, dx),
        op, "cudnnConvolutionBackwardData");
}
void cudnn_weight_grad(DType dtype, const Conv2dShape& v, void* dw, const void* x, const void* dy, Workspace workspace) {
  constexpr CudnnOp op = CudnnOp::weight_grad;
  const Plan& p = plan_of(op, dtype, v);
  const Scales s(dtype);
  check(cudnnConvolutionBackwardFilter(handle(op), s.one(), p.x, x, p.y, dy, p.convolution, kWeightGrad, workspace.data, workspace.bytes,
                                       s.zero(), p.w, dw),
        op, "cudnnConvolutionBackwardFilter");
}

}  // namespace gradus::inline v0::cuda

#endif
