// cuDNN's stand-in, first half: handles and descriptors, checked when they are set and against each other.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // kernels/cuda/cudnn.h says why these calls

#include <gradus/kernels/emulator/cudnn/descriptors.h>

#include <limits>
#include <string>

namespace gradus::emulator::vendor {
namespace {

using Size = std::int64_t;

cudnnStatus_t wrong(const char* call, const char* argument, const std::string& why, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) {
  complain(call, argument, why);
  return status;
}

template <class T> cudnnStatus_t create(const char* call, T** object) {
  if (!object) return wrong(call, "descriptor", "is null", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  *object = Live<T>::instance().create();
  return CUDNN_STATUS_SUCCESS;
}
template <class T> cudnnStatus_t destroy(const char* call, T* object) {
  if (!object || Live<T>::instance().destroy(object)) return CUDNN_STATUS_SUCCESS;
  return wrong(call, "descriptor", "was never created, or has been destroyed already");
}

/// Extents above 0 whose product cuDNN's 32-bit indices can hold, in a layout and type that the stand-in has.
cudnnStatus_t check_array(const char* call, const char* descriptor, bool live, cudnnTensorFormat_t format, cudnnDataType_t type,
                          const Size (&extents)[4], const char* const (&names)[4]) {
  if (!live) return wrong(call, descriptor, "is not a live descriptor");
  if (format != CUDNN_TENSOR_NCHW)
    return wrong(call, "format", "is not CUDNN_TENSOR_NCHW, the stand-in's only one", CUDNN_STATUS_NOT_SUPPORTED);
  if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_DOUBLE)
    return wrong(call, "dataType", "is neither CUDNN_DATA_FLOAT nor CUDNN_DATA_DOUBLE", CUDNN_STATUS_NOT_SUPPORTED);
  Size elements = 1;
  for (int i = 0; i < 4; ++i) {
    if (extents[i] < 1) return wrong(call, names[i], "is " + std::to_string(extents[i]) + ": expected at least 1");
    elements *= extents[i];
    if (elements > std::numeric_limits<int>::max())
      return wrong(call, names[i], "makes more than 2^31 - 1 elements", CUDNN_STATUS_NOT_SUPPORTED);
  }
  return CUDNN_STATUS_SUCCESS;
}

template <class T> cudnnStatus_t check_set(const char* call, const char* name, T* descriptor) {
  if (!descriptor || !Live<T>::instance().has(descriptor)) return wrong(call, name, "is not a live descriptor");
  return descriptor->set ? CUDNN_STATUS_SUCCESS : wrong(call, name, "was never set");
}

/// Extents of y along one axis.
Size out_extent(Size in, Size pad, Size kernel, Size stride) { return in + 2 * pad < kernel ? 0 : (in + 2 * pad - kernel) / stride + 1; }

cudnnStatus_t check_agreement(const Convolution& v) {
  const auto text = [](Size a, Size b, Size c, Size d) {
    return "[" + std::to_string(a) + ", " + std::to_string(b) + ", " + std::to_string(c) + ", " + std::to_string(d) + "]";
  };
  if (v.w.type != v.x.type) return wrong(v.call, v.w_name, "has another data type than x");
  if (v.y.type != v.x.type) return wrong(v.call, v.y_name, "has another data type than x");
  if (v.conv.type != v.x.type) return wrong(v.call, "convDesc", "has another compute type than the data", CUDNN_STATUS_NOT_SUPPORTED);
  if (v.x.c % v.conv.groups || v.w.k % v.conv.groups || v.w.c * v.conv.groups != v.x.c)
    return wrong(v.call, v.w_name,
                 "is " + text(v.w.k, v.w.c, v.w.h, v.w.w) + " with " + std::to_string(v.conv.groups) + " groups and " +
                     std::to_string(v.x.c) + " channels of x");
  const Size h = out_extent(v.x.h, v.conv.pad_h, v.w.h, v.conv.stride_h), w = out_extent(v.x.w, v.conv.pad_w, v.w.w, v.conv.stride_w);
  if (v.y.n == v.x.n && v.y.c == v.w.k && v.y.h == h && v.y.w == w) return CUDNN_STATUS_SUCCESS;
  return wrong(v.call, v.y_name, "is " + text(v.y.n, v.y.c, v.y.h, v.y.w) + ": expected " + text(v.x.n, v.w.k, h, w));
}

}  // namespace

cudnnStatus_t Convolution::make(Convolution& out, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t conv,
                                cudnnTensorDescriptor_t y) {
  for (const cudnnStatus_t status : {check_set(out.call, out.x_name, x), check_set(out.call, out.w_name, w),
                                     check_set(out.call, "convDesc", conv), check_set(out.call, out.y_name, y)})
    if (status != CUDNN_STATUS_SUCCESS) return status;
  out.x = *x, out.w = *w, out.conv = *conv, out.y = *y;
  return check_agreement(out);
}

}  // namespace gradus::emulator::vendor

using namespace gradus::emulator::vendor;

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { return create("cudnnCreate", handle); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return destroy("cudnnDestroy", handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  if (!handle || !Live<cudnnContext>::instance().has(handle))
    return wrong("cudnnSetStream", "handle", "is not a live cuDNN handle", CUDNN_STATUS_NOT_INITIALIZED);
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
    case CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "a cuDNN status that the stand-in never returns";
  }
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) { return create("cudnnCreateTensorDescriptor", tensor); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) { return destroy("cudnnDestroyTensorDescriptor", tensor); }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c,
                                         int h, int w) {
  const bool live = tensor && Live<cudnnTensorStruct>::instance().has(tensor);
  const cudnnStatus_t status =
      check_array("cudnnSetTensor4dDescriptor", "tensorDesc", live, format, type, {n, c, h, w}, {"n", "c", "h", "w"});
  if (status == CUDNN_STATUS_SUCCESS) *tensor = {true, type, n, c, h, w};
  return status;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* filter) { return create("cudnnCreateFilterDescriptor", filter); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) { return destroy("cudnnDestroyFilterDescriptor", filter); }
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type, cudnnTensorFormat_t format, int k, int c,
                                         int h, int w) {
  const bool live = filter && Live<cudnnFilterStruct>::instance().has(filter);
  const cudnnStatus_t status =
      check_array("cudnnSetFilter4dDescriptor", "filterDesc", live, format, type, {k, c, h, w}, {"k", "c", "h", "w"});
  if (status == CUDNN_STATUS_SUCCESS) *filter = {true, type, k, c, h, w};
  return status;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* conv) {
  return create("cudnnCreateConvolutionDescriptor", conv);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t conv) {
  return destroy("cudnnDestroyConvolutionDescriptor", conv);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t conv, int pad_h, int pad_w, int u, int v, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode, cudnnDataType_t computeType) {
  constexpr const char* kCall = "cudnnSetConvolution2dDescriptor";
  if (!conv || !Live<cudnnConvolutionStruct>::instance().has(conv)) return wrong(kCall, "convDesc", "is not a live descriptor");
  if (pad_h < 0 || pad_w < 0) return wrong(kCall, pad_h < 0 ? "pad_h" : "pad_w", "is negative");
  if (u < 1 || v < 1) return wrong(kCall, u < 1 ? "u" : "v", "is a stride below 1");
  if (dilation_h != 1 || dilation_w != 1)
    return wrong(kCall, dilation_h != 1 ? "dilation_h" : "dilation_w", "is not 1", CUDNN_STATUS_NOT_SUPPORTED);
  if (mode != CUDNN_CROSS_CORRELATION) return wrong(kCall, "mode", "is not CUDNN_CROSS_CORRELATION", CUDNN_STATUS_NOT_SUPPORTED);
  *conv = {true, computeType, pad_h, pad_w, u, v, 1};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t conv, int groupCount) {
  const cudnnStatus_t status = check_set("cudnnSetConvolutionGroupCount", "convDesc", conv);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  if (groupCount < 1) return wrong("cudnnSetConvolutionGroupCount", "groupCount", "is " + std::to_string(groupCount));
  conv->groups = groupCount;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t conv, cudnnMathType_t mathType) {
  const cudnnStatus_t status = check_set("cudnnSetConvolutionMathType", "convDesc", conv);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  if (mathType == CUDNN_FMA_MATH) return CUDNN_STATUS_SUCCESS;
  return wrong("cudnnSetConvolutionMathType", "mathType", "is not CUDNN_FMA_MATH: the stand-in has full precision only",
               CUDNN_STATUS_NOT_SUPPORTED);
}

}  // extern "C"
