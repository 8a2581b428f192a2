// What cuDNN's stand-in knows of its objects, and how far they agree with each other.
#pragma once

#include <cudnn.h>

#include <cstdint>

#include <gradus/kernels/emulator/cublas/vendor_call.h>

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  bool set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::int64_t n = 0, c = 0, h = 0, w = 0;
};
struct cudnnFilterStruct {
  bool set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::int64_t k = 0, c = 0, h = 0, w = 0;
};
struct cudnnConvolutionStruct {
  bool set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::int64_t pad_h = 0, pad_w = 0, stride_h = 1, stride_w = 1, groups = 1;
};

namespace gradus::emulator::vendor {

/// One convolution, whichever of its three products is asked for. Names are those of the call's parameters.
struct Convolution {
  const char *call, *x_name, *w_name, *y_name;
  cudnnTensorStruct x, y;
  cudnnFilterStruct w;
  cudnnConvolutionStruct conv;

  /// Live, set, of one type, and y is what x and w make; else says which argument is wrong.
  static cudnnStatus_t make(Convolution& out, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t conv,
                            cudnnTensorDescriptor_t y);

  std::int64_t element() const { return x.type == CUDNN_DATA_FLOAT ? 4 : 8; }
  std::int64_t x_elements() const { return x.n * x.c * x.h * x.w; }
  std::int64_t w_elements() const { return w.k * w.c * w.h * w.w; }
  std::int64_t y_elements() const { return y.n * y.c * y.h * y.w; }
  /// A number that callers have to fetch: the stand-in needs none of it, but checks that it is there.
  std::size_t workspace_bytes() const { return static_cast<std::size_t>(512 + 4 * w_elements()); }
};

/// Calls f(offset in x, offset in w, offset in y) for every product of the sum.
template <class F> void for_each_product(const Convolution& v, const F& f) {
  const std::int64_t out_channels = v.w.k / v.conv.groups;
  for (std::int64_t n = 0; n < v.y.n; ++n)
    for (std::int64_t k = 0; k < v.y.c; ++k)
      for (std::int64_t i = 0; i < v.y.h; ++i)
        for (std::int64_t j = 0; j < v.y.w; ++j)
          for (std::int64_t c = 0; c < v.w.c; ++c)
            for (std::int64_t a = 0; a < v.w.h; ++a)
              for (std::int64_t b = 0; b < v.w.w; ++b) {
                const std::int64_t row = i * v.conv.stride_h + a - v.conv.pad_h, column = j * v.conv.stride_w + b - v.conv.pad_w;
                if (row < 0 || row >= v.x.h || column < 0 || column >= v.x.w) continue;
                f(((n * v.x.c + k / out_channels * v.w.c + c) * v.x.h + row) * v.x.w + column, ((k * v.w.c + c) * v.w.h + a) * v.w.w + b,
                  ((n * v.y.c + k) * v.y.h + i) * v.y.w + j);
              }
}

}  // namespace gradus::emulator::vendor
