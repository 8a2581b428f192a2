// cuDNN's stand-in, second half: the three products of a convolution by plain loops, on the handle's stream.
//
//   result = alpha product + beta result; the product as in kernels/convolution.h
//
// Only the deterministic algorithms that kernels/cuda/cudnn.cpp asks for exist here.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // kernels/cuda/cudnn.h says why these calls

#include <gradus/kernels/emulator/cudnn/descriptors.h>

#include <string>
#include <vector>

namespace gradus::emulator::vendor {
namespace {

constexpr auto kForward = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
constexpr auto kInputGrad = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
constexpr auto kWeightGrad = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

/// An array of a call.
struct Operand {
  const char* name;
  const void* data;
  std::int64_t elements;
};

struct Call {
  Convolution conv;
  cudnnHandle_t handle;
  Operand first, second, result;
  const void *alpha, *beta;
  void* workspace;
  std::size_t workspace_bytes;
};

cudnnStatus_t wrong(const Call& call, const char* argument, const std::string& why, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) {
  complain(call.conv.call, argument, why);
  return status;
}

cudnnStatus_t check(const Call& call, bool known_algorithm) {
  if (!call.handle || !Live<cudnnContext>::instance().has(call.handle))
    return wrong(call, "handle", "is not a live cuDNN handle", CUDNN_STATUS_NOT_INITIALIZED);
  if (!known_algorithm) return wrong(call, "algo", "is not the deterministic one of the stand-in", CUDNN_STATUS_NOT_SUPPORTED);
  for (const auto& [name, scalar] : {std::pair<const char*, const void*>{"alpha", call.alpha}, {"beta", call.beta}})
    if (!scalar) return wrong(call, name, "is null", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  for (const Operand& o : {call.first, call.second, call.result}) {
    if (!o.data) return wrong(call, o.name, "is null", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    if (reinterpret_cast<std::uintptr_t>(o.data) % static_cast<std::uintptr_t>(call.conv.element()))
      return wrong(call, o.name, "is not aligned to its elements", CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
  }
  const std::size_t least = call.conv.workspace_bytes();
  if (call.workspace_bytes < least || !call.workspace)
    return wrong(call, "workSpaceSizeInBytes", "is " + std::to_string(call.workspace_bytes) + ": expected " + std::to_string(least),
                 CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT);
  return CUDNN_STATUS_SUCCESS;
}

/// result[k] = alpha sum of first[i] second[j] + beta result[k], over the triples (i, j, k) that `pick` makes of a product's offsets.
template <class T, class Pick> void compute(const Call& call, double alpha, double beta, Pick pick) {
  const T *const first = static_cast<const T*>(device_bytes(call.first.data)), *const second =
                                                                                   static_cast<const T*>(device_bytes(call.second.data));
  T* const result = static_cast<T*>(device_bytes(call.result.data));
  std::vector<T> sums(static_cast<std::size_t>(call.result.elements));
  for_each_product(call.conv, [&](std::int64_t x, std::int64_t w, std::int64_t y) {
    const auto [i, j, k] = pick(x, w, y);
    sums[static_cast<std::size_t>(k)] += first[i] * second[j];
  });
  for (std::int64_t i = 0; i < call.result.elements; ++i)
    result[i] = static_cast<T>(alpha) * sums[static_cast<std::size_t>(i)] + (beta == 0 ? T(0) : static_cast<T>(beta) * result[i]);
}

template <class Pick> cudnnStatus_t queue(const Call& call, Pick pick) {
  const bool narrow = call.conv.x.type == CUDNN_DATA_FLOAT;
  const auto scalar = [narrow](const void* at) {
    return narrow ? double{*static_cast<const float*>(at)} : *static_cast<const double*>(at);
  };
  const double alpha = scalar(call.alpha), beta = scalar(call.beta);
  const auto range = [&](const Operand& o) { return Range{o.data, static_cast<std::uint64_t>(o.elements * call.conv.element()), o.name}; };
  std::vector<Range> reads{range(call.first), range(call.second)};
  if (beta != 0) reads.push_back(range(call.result));
  std::uint64_t bytes = range(call.result).bytes, products = 0;
  for (const Range& r : reads) bytes += r.bytes;
  for_each_product(call.conv, [&](std::int64_t, std::int64_t, std::int64_t) { ++products; });
  const auto work = [call, alpha, beta, pick, narrow] {
    if (narrow) compute<float>(call, alpha, beta, pick);
    else compute<double>(call, alpha, beta, pick);
  };
  const std::vector<Range> writes{range(call.result), {call.workspace, call.conv.workspace_bytes(), "workSpace"}};
  const bool queued = enqueue_host_work(call.handle->stream, call.conv.call, work, reads, writes, counts_of(2 * products, bytes));
  return queued ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

struct Triple {
  std::int64_t first, second, result;
};

cudnnStatus_t measure(Convolution conv, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t desc,
                      cudnnTensorDescriptor_t y, bool known_algorithm, std::size_t* bytes) {
  const cudnnStatus_t status = Convolution::make(conv, x, w, desc, y);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  if (!bytes || !known_algorithm) {
    complain(conv.call, bytes ? "algo" : "sizeInBytes", bytes ? "is not the deterministic one of the stand-in" : "is null");
    return bytes ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  }
  *bytes = conv.workspace_bytes();
  return CUDNN_STATUS_SUCCESS;
}

Convolution named(const char* call, const char* x, const char* w, const char* y) { return {call, x, w, y, {}, {}, {}, {}}; }

}  // namespace
}  // namespace gradus::emulator::vendor

using namespace gradus::emulator::vendor;

extern "C" {

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algo, size_t* bytes) {
  return measure(named("cudnnGetConvolutionForwardWorkspaceSize", "xDesc", "wDesc", "yDesc"), x, w, conv, y, algo == kForward, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
                                                           const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algo, size_t* bytes) {
  return measure(named("cudnnGetConvolutionBackwardDataWorkspaceSize", "dxDesc", "wDesc", "dyDesc"), dx, w, conv, dy, algo == kInputGrad,
                 bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                             const cudnnTensorDescriptor_t dy, const cudnnConvolutionDescriptor_t conv,
                                                             const cudnnFilterDescriptor_t dw, cudnnConvolutionBwdFilterAlgo_t algo,
                                                             size_t* bytes) {
  return measure(named("cudnnGetConvolutionBackwardFilterWorkspaceSize", "xDesc", "gradDesc", "dyDesc"), x, dw, conv, dy,
                 algo == kWeightGrad, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t xDesc, const void* x,
                                      const cudnnFilterDescriptor_t wDesc, const void* w, const cudnnConvolutionDescriptor_t convDesc,
                                      cudnnConvolutionFwdAlgo_t algo, void* workSpace, size_t workSpaceSizeInBytes, const void* beta,
                                      const cudnnTensorDescriptor_t yDesc, void* y) {
  Convolution c = named("cudnnConvolutionForward", "xDesc", "wDesc", "yDesc");
  if (const cudnnStatus_t status = Convolution::make(c, xDesc, wDesc, convDesc, yDesc); status != CUDNN_STATUS_SUCCESS) return status;
  const Call call{c,    handle,    {"x", x, c.x_elements()}, {"w", w, c.w_elements()}, {"y", y, c.y_elements()}, alpha,
                  beta, workSpace, workSpaceSizeInBytes};
  if (const cudnnStatus_t status = check(call, algo == kForward); status != CUDNN_STATUS_SUCCESS) return status;
  return queue(call, [](std::int64_t at_x, std::int64_t at_w, std::int64_t at_y) { return Triple{at_x, at_w, at_y}; });
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha, const cudnnFilterDescriptor_t wDesc, const void* w,
                                           const cudnnTensorDescriptor_t dyDesc, const void* dy,
                                           const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdDataAlgo_t algo, void* workSpace,
                                           size_t workSpaceSizeInBytes, const void* beta, const cudnnTensorDescriptor_t dxDesc, void* dx) {
  Convolution c = named("cudnnConvolutionBackwardData", "dxDesc", "wDesc", "dyDesc");
  if (const cudnnStatus_t status = Convolution::make(c, dxDesc, wDesc, convDesc, dyDesc); status != CUDNN_STATUS_SUCCESS) return status;
  const Call call{c,    handle,    {"w", w, c.w_elements()}, {"dy", dy, c.y_elements()}, {"dx", dx, c.x_elements()}, alpha,
                  beta, workSpace, workSpaceSizeInBytes};
  if (const cudnnStatus_t status = check(call, algo == kInputGrad); status != CUDNN_STATUS_SUCCESS) return status;
  return queue(call, [](std::int64_t at_x, std::int64_t at_w, std::int64_t at_y) { return Triple{at_w, at_y, at_x}; });
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t xDesc, const void* x,
                                             const cudnnTensorDescriptor_t dyDesc, const void* dy,
                                             const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdFilterAlgo_t algo,
                                             void* workSpace, size_t workSpaceSizeInBytes, const void* beta,
                                             const cudnnFilterDescriptor_t dwDesc, void* dw) {
  Convolution c = named("cudnnConvolutionBackwardFilter", "xDesc", "dwDesc", "dyDesc");
  if (const cudnnStatus_t status = Convolution::make(c, xDesc, dwDesc, convDesc, dyDesc); status != CUDNN_STATUS_SUCCESS) return status;
  const Call call{c,    handle,    {"x", x, c.x_elements()}, {"dy", dy, c.y_elements()}, {"dw", dw, c.w_elements()}, alpha,
                  beta, workSpace, workSpaceSizeInBytes};
  if (const cudnnStatus_t status = check(call, algo == kWeightGrad); status != CUDNN_STATUS_SUCCESS) return status;
  return queue(call, [](std::int64_t at_x, std::int64_t at_w, std::int64_t at_y) { return Triple{at_x, at_y, at_w}; });
}

}  // extern "C"
