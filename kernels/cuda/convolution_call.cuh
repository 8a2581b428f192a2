// A convolution's forward pass or input gradient as the kernels see it: a correlation of a source image with taps.
//
//   out[n, row, i, j] = sum over channel, a, b of w(row, channel, a, b) source[n, channel, i step_h + base_h +- a, j step_w + base_w +- b]
//
// zero outside the source. Forward: the source is x, taps are those of the kernel, +. Input gradient: the source is dy; a stride splits dx
// into stride_h x stride_w phases (pixels a stride apart), each met by its own taps of the kernel, -, as in kernels/cpu/convolution.cpp.
#pragma once

#include <optional>

#include <gradus/kernels/convolution.h>
#include <gradus/kernels/cuda/divider.cuh>
#include <gradus/kernels/cuda/gemm_tile.cuh>

namespace gradus::inline v0::cuda::product {

/// One axis of a correlation.
struct ConvAxis {
  int in, out, step, base, sign;
  int taps, tap, tap_step;  // of this phase: kernel positions tap, tap + tap_step, ...
  int first, pixel_step;    // of the out array: pixels first, first + pixel_step, ...
  int pixels;               // its extent
};

inline ConvAxis forward_axis(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  return {static_cast<int>(in),
          static_cast<int>(out),
          static_cast<int>(stride),
          static_cast<int>(-pad),
          1,
          static_cast<int>(kernel),
          0,
          1,
          0,
          1,
          static_cast<int>(out)};
}
/// Pixels phase, phase + stride, ... of dx: pixel phase + i stride meets tap t + q stride at row i + (phase + pad - t) / stride - q of dy,
/// where t = (phase + pad) mod stride.
inline ConvAxis backward_axis(std::int64_t phase, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                              std::int64_t pad) {
  const std::int64_t tap = (phase + pad) % stride, taps = kernel > tap ? (kernel - tap + stride - 1) / stride : 0;
  const std::int64_t pixels = in > phase ? (in - phase + stride - 1) / stride : 0;
  return {static_cast<int>(out),
          static_cast<int>(pixels),
          1,
          static_cast<int>((phase + pad - tap) / stride),
          -1,
          static_cast<int>(taps),
          static_cast<int>(tap),
          static_cast<int>(stride),
          static_cast<int>(phase),
          static_cast<int>(stride),
          static_cast<int>(in)};
}

template <class T> struct ConvCall {
  T* out;
  const T *source, *w, *bias;
  ConvAxis h, v;                       // rows and columns
  int images, channels, rows, groups;  // channels of the source and rows (channels) of the out array in a group
  int kernel, kernel_width;            // r s, s
  std::int64_t pixels;                 // images h.out v.out; kernels take fewer than 2^31 at once
  int depth;                           // channels h.taps v.taps
  bool vector_w, vector_source, vector_out;
  Divider plane, width, taps, tap_width;  // h.out v.out, v.out, h.taps v.taps, v.taps
  // In elements, from one to the next. Fields, since a kernel reads an argument without keeping it in a register.
  std::int64_t source_plane, source_image, out_plane, out_image, weight_row, weight_column;

  /// Where pixel (i, j) of the correlation lies in a plane of the out array.
  __device__ std::int64_t out_at(int i, int j) const {
    return std::int64_t{h.first + i * h.pixel_step} * v.pixels + v.first + j * v.pixel_step;
  }
};

/// A pixel of a correlation: image, row, column.
struct ConvPixel {
  int n, i, j;
};
template <class T> __device__ inline ConvPixel pixel_at(const ConvCall<T>& c, unsigned pixel) {
  unsigned n = pixel, i = c.plane.split(n);
  const unsigned j = c.width.split(i);
  return {static_cast<int>(n), static_cast<int>(i), static_cast<int>(j)};
}

/// Sizes and dividers of a call whose arrays, axes, images, channels, rows, groups and kernel are set.
template <class T> void complete(ConvCall<T>& c) {
  const auto divider = [](std::int64_t d) { return Divider(d > 0 ? d : 1); };
  const std::int64_t plane = std::int64_t{c.h.out} * c.v.out, taps = std::int64_t{c.h.taps} * c.v.taps;
  c.pixels = plane * c.images;
  c.depth = static_cast<int>(taps * c.channels);
  c.plane = divider(plane), c.width = divider(c.v.out), c.taps = divider(taps), c.tap_width = divider(c.v.taps);
  c.source_plane = std::int64_t{c.h.in} * c.v.in, c.source_image = c.source_plane * c.channels * c.groups;
  c.out_plane = std::int64_t{c.h.pixels} * c.v.pixels, c.out_image = c.out_plane * c.rows * c.groups;
  c.weight_row = c.depth, c.weight_column = c.rows;
  const bool whole_plane = c.h.pixel_step == 1 && c.v.pixel_step == 1;
  c.vector_w = aligned16(c.w) && std::int64_t{c.kernel} * c.channels % Pack<T>::kCount == 0;
  c.vector_source = aligned16(c.source) && c.source_plane % Pack<T>::kCount == 0;
  c.vector_out = aligned16(c.out) && whole_plane && plane % Pack<T>::kCount == 0;
}

template <class T> ConvCall<T> forward_call(const Conv2dShape& v, T* y, const T* x, const T* w, const T* bias) {
  ConvCall<T> c{};
  c.out = y, c.source = x, c.w = w, c.bias = bias;
  c.h = forward_axis(v.h, v.out_h, v.r, v.stride_h, v.pad_h), c.v = forward_axis(v.w, v.out_w, v.s, v.stride_w, v.pad_w);
  c.images = static_cast<int>(v.n), c.groups = static_cast<int>(v.groups);
  c.channels = static_cast<int>(v.c / v.groups), c.rows = static_cast<int>(v.k / v.groups);
  c.kernel = static_cast<int>(v.r * v.s), c.kernel_width = static_cast<int>(v.s);
  complete(c);
  return c;
}
template <class T>
ConvCall<T> backward_call(const Conv2dShape& v, std::int64_t phase_h, std::int64_t phase_w, T* dx, const T* dy, const T* w) {
  ConvCall<T> c{};
  c.out = dx, c.source = dy, c.w = w;
  c.h = backward_axis(phase_h, v.h, v.out_h, v.r, v.stride_h, v.pad_h);
  c.v = backward_axis(phase_w, v.w, v.out_w, v.s, v.stride_w, v.pad_w);
  c.images = static_cast<int>(v.n), c.groups = static_cast<int>(v.groups);
  c.channels = static_cast<int>(v.k / v.groups), c.rows = static_cast<int>(v.c / v.groups);
  c.kernel = static_cast<int>(v.r * v.s), c.kernel_width = static_cast<int>(v.s);
  complete(c);
  return c;
}

/// Groups of one channel of x and few of y are no products: convolution_depthwise.cu takes them if a band of an image fits shared memory,
/// and returns whether it does. (Above four channels of y a tile of 16 rows is better.)
inline bool is_depthwise(const Conv2dShape& v) { return v.groups > 1 && v.c == v.groups && v.k <= 4 * v.groups; }
template <class T> bool correlate_depthwise(const char* op, const ConvCall<T>& call, bool input_grad);
template <class T> std::optional<std::size_t> depthwise_weight_grad_bytes(const Conv2dShape& v);
template <class T> bool depthwise_weight_grad(const Conv2dShape& v, T* dw, const T* x, const T* dy, Workspace workspace);

/// dw[i] = the sum over the segments of partial[segment][i], in order (convolution_weight.cu).
template <class T> void merge_segments(T* dw, const T* partial, std::int64_t weights, int segments);

}  // namespace gradus::inline v0::cuda::product
