// Depthwise convolution: one channel in, one channel out. A product of one row would leave the registers empty, so taps are walked here,
// over vectors of neighbouring pixels. The sums are the same chains as in correlation_product.h. Hot files only.
#pragma once

#include <gradus/kernels/cpu/correlation_product.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

/// Whether a group with `rows` output channels is taken here.
GRADUS_INLINE bool is_depthwise(const Correlation& c, Size rows) {
  return c.channels == 1 && rows == 1 && c.taps() > 0 && c.taps() <= kMaxDepth;
}

/// Up to W neighbouring output pixels: where their first tap is, where they go.
template <class T> struct Strip {
  const T* x;
  T* y;
  Size n;
};

/// The outputs of G strips: enough independent chains to hide the latency of an fma.
template <class T, int G> GRADUS_NOINLINE void compute_strips(const Strip<T>* strips, const RowPanel<T>& w, const Size* offsets, Size taps,
                                                              Size step, const T* bias) {
  constexpr int W = Vec<T>::W;
  Vec<T> acc[G];
  GRADUS_UNROLL for (int g = 0; g < G; ++g) acc[g] = Vec<T>(T(0));
  for (Size t = 0; t < taps; ++t) {
    const Vec<T> weight(w.data[t * w.depth]);
    GRADUS_UNROLL for (int g = 0; g < G; ++g) acc[g] = fma(weight, Vec<T>::load(strips[g].x + offsets[t]), acc[g]);
  }
  if (bias) GRADUS_UNROLL for (int g = 0; g < G; ++g) acc[g] = acc[g] + Vec<T>(*bias);
  GRADUS_UNROLL for (int g = 0; g < G; ++g) {
    T* const y = strips[g].y;
    if (step == 1) {
      if (strips[g].n == W) acc[g].store(y);
      else store_partial(acc[g], y, strips[g].n);
    } else {
      T lanes[W];
      acc[g].store(lanes);
      for (Size i = 0; i < strips[g].n; ++i) y[i * step] = lanes[i];
    }
  }
}

/// correlate() for one channel and one row of weights.
template <class T> void correlate_plane(const Correlation& c, const Chunk& chunk, const T* source, const RowPanel<T>& w,
                                        const Output<T>& out, const T* bias, T* scratch) {
  constexpr int kStrips = 4;
  Band<T> band(c, chunk, source, scratch);
  band.load(0, 1);
  Size offsets[kMaxDepth];
  for (Size t = 0; t < c.taps(); ++t) offsets[t] = band.tap_offset(t / c.w.taps, t % c.w.taps);
  Strip<T> strips[kStrips];
  int count = 0;
  for (Size image = 0; image < chunk.images; ++image)
    for (Size row = 0; row < chunk.rows; ++row)
      for (Size column = 0; column < c.w.out; column += Vec<T>::W) {
        strips[count++] = {band.data() + image * band.image_stride() + row * band.row_stride() + column,
                           out.data + out.offset(chunk.image + image, chunk.row + row, column), smaller(Vec<T>::W, c.w.out - column)};
        if (count < kStrips) continue;
        compute_strips<T, kStrips>(strips, w, offsets, c.taps(), out.column_step, bias);
        count = 0;
      }
  for (int i = 0; i < count; ++i) compute_strips<T, 1>(strips + i, w, offsets, c.taps(), out.column_step, bias);
}

/// A chunk of one group of a correlation, by whichever of the two is made for it.
template <class T, class A> void correlate_group(const Correlation& c, const Chunk& chunk, Size rows, const T* source, const A& a,
                                                 const Output<T>& out, const T* bias, T* band_scratch, T* a_scratch) {
  if (!is_depthwise(c, rows)) return correlate(c, chunk, rows, source, a, out, bias, band_scratch, a_scratch);
  correlate_plane(c, chunk, source, a.panel(0, 1, 0, c.taps(), a_scratch), out, bias, band_scratch);
}

/// dw[t] (= or +=) the sum over the chunk's pixels of dy times x at tap t, for the `taps` taps whose offsets these are. Lanes are added
/// last.
template <class T> GRADUS_NOINLINE void add_plane_products(T* dw, const Correlation& c, const Chunk& chunk, const Band<T>& band,
                                                           const T* dy, Size image_stride, const Size* offsets, Size taps,
                                                           bool accumulate) {
  constexpr int W = Vec<T>::W, kTaps = 9;  // a 3x3 kernel; with 9 accumulators, 2 operands and addresses the registers are full
  for (Size t0 = 0; t0 < taps; t0 += kTaps) {
    Size at[kTaps];
    for (int t = 0; t < kTaps; ++t) at[t] = offsets[smaller(t0 + t, taps - 1)];  // taps that do not exist repeat the last
    Vec<T> acc[kTaps];
    GRADUS_UNROLL for (int t = 0; t < kTaps; ++t) acc[t] = Vec<T>(T(0));
    for (Size image = 0; image < chunk.images; ++image)
      for (Size row = 0; row < chunk.rows; ++row) {
        const T* x = band.data() + image * band.image_stride() + row * band.row_stride();
        const T* d = dy + image * image_stride + row * c.w.out;
        Size i = 0;
        for (; i + W <= c.w.out; i += W) {
          const Vec<T> di = Vec<T>::load(d + i);
          GRADUS_UNROLL for (int t = 0; t < kTaps; ++t) acc[t] = fma(di, Vec<T>::load(x + at[t] + i), acc[t]);
        }
        if (i == c.w.out) continue;
        const Vec<T> di = load_partial(d + i, c.w.out - i, T(0));
        GRADUS_UNROLL for (int t = 0; t < kTaps; ++t) acc[t] = fma(di, load_partial(x + at[t] + i, c.w.out - i, T(0)), acc[t]);
      }
    for (Size t = t0; t < smaller(taps, t0 + kTaps); ++t) dw[t] = accumulate ? dw[t] + sum_lanes(acc[t - t0]) : sum_lanes(acc[t - t0]);
  }
}

/// The weight gradient of one plane over one chunk of pixels; dy begins at the chunk's first pixel.
template <class T> void plane_weight_grad(T* dw, const Correlation& c, const Chunk& chunk, const T* x, const T* dy, Size dy_image_stride,
                                          bool accumulate, T* scratch) {
  Band<T> band(c, chunk, x, scratch);
  band.load(0, 1);
  Size offsets[kMaxDepth];
  for (Size t = 0; t < c.taps(); ++t) offsets[t] = band.tap_offset(t / c.w.taps, t % c.w.taps);
  add_plane_products(dw, c, chunk, band, dy, dy_image_stride, offsets, c.taps(), accumulate);
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
