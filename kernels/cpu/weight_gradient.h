// The weight gradient of a convolution as a blocked product: rows are output channels, columns (channel, tap), depth pixels. Hot files
// only.
#pragma once

#include <gradus/kernels/cpu/depthwise.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

/// a of the weight gradient: dy, rows output channels, depth pixels.
template <class T> struct PixelRows {
  const T* dy;  // channel 0 of the group, first image of the chunk, first pixel of its rows
  Size image_stride, plane, image_pixels;

  RowPanel<T> panel(Size i, Size rows, Size k0, Size kc, T* buffer) const {
    const T* from = dy + i * plane;
    T* to = buffer;
    for (Size p = k0, length; p < k0 + kc; p += length, to += length * kTileRows) {
      const Size image = p / image_pixels, pixel = p % image_pixels;
      length = smaller(image_pixels - pixel, k0 + kc - p);
      pack_transposed<T, kTileRows>(to, from + image * image_stride + pixel, plane, rows, length);
    }
    return {buffer, 1, kTileRows};
  }
};

/// b of the weight gradient: a panel is kPanel (channel, tap) pairs by pixels.
template <class T> class WindowColumns {
 public:
  static constexpr bool kKeeps = false;
  static constexpr Size kBufferSize = kPackedPanel<T> + Vec<T>::W * kPanel<T>;  // a run's last step may pass its end by W - 1 rows

  WindowColumns(const Correlation& c, const Chunk& chunk, const Band<T>& band) : c_(c), chunk_(chunk), band_(band) {}

  void begin(Size k0, Size kc) {
    const Size width = c_.w.out, image_pixels = chunk_.rows * width;
    Size image = k0 / image_pixels, row = k0 % image_pixels / width, column = k0 % width;
    count_ = 0;
    for (Size p = 0, length; p < kc; p += length) {
      length = smaller(width - column, kc - p);
      runs_[count_++] = {image * band_.image_stride() + row * band_.row_stride() + column, length};
      column = 0;
      if (++row == chunk_.rows) row = 0, ++image;
    }
  }

  ColumnPanel<T> panel(Size j, Size columns, Size, Size, T* buffer) const {
    Size offsets[kPanel<T>];
    const Size taps = c_.taps();
    for (Size lane = 0; lane < kPanel<T>; ++lane) {
      const Size pair = j + smaller(lane, columns - 1);  // columns that do not exist repeat the last
      offsets[lane] = pair / taps * band_.channel_stride() + band_.tap_offset(pair % taps / c_.w.taps, pair % c_.w.taps);
    }
    pack(buffer, offsets);
    return {buffer, kPanel<T>};
  }

 private:
  struct Run {
    Size source, length;
  };

  /// W pixels by W pairs at a time, transposed. Runs in order: rows that pass a run's end are overwritten by the next.
  void pack(T* buffer, const Size* offsets) const {
    constexpr int W = Vec<T>::W;
    for (int r = 0; r < count_; ++r) {
      const T* x = band_.data() + runs_[r].source;
      for (Size p = 0; p < runs_[r].length; p += W)
        for (int half = 0; half < 2; ++half) {
          Vec<T> v[W];
          GRADUS_UNROLL for (int i = 0; i < W; ++i) v[i] = Vec<T>::load(x + offsets[half * W + i] + p);
          transpose(v);
          GRADUS_UNROLL for (int i = 0; i < W; ++i) v[i].store(buffer + (p + i) * kPanel<T> + half * W);
        }
      buffer += runs_[r].length * kPanel<T>;
    }
  }

  const Correlation& c_;
  const Chunk& chunk_;
  const Band<T>& band_;
  Run runs_[kMaxDepth];
  int count_ = 0;
};

template <class T> struct WeightOutput {
  T* dw;
  Size depth;
  bool accumulate;
  void compute(Size rows, Size kc, const RowPanel<T>& a, const ColumnPanel<T>& b, Size i, Size j, Size columns, bool first, bool) const {
    compute_up_to_2<T>(rows, kc, a, b, {dw + i * depth + j, depth, columns, !first || accumulate});
  }
};

/// How the work is cut: blocks of input channels, and segments of the pixel chunks whose sums are added in order.
struct WeightPlan {
  Correlation c;
  Size channel_block, channel_blocks;
  Chunks chunks;
  Size segments, weights;

  GRADUS_INLINE explicit WeightPlan(const Conv2dShape& v)
      : c(forward_correlation(v)),
        channel_block(smaller(larger(1, c.channels), 64)),
        channel_blocks(blocks_of(c.channels, channel_block)),
        chunks(c, channel_block),
        weights(v.k * c.channels * c.taps()) {
    // Small filters have few tiles to share among threads: up to 8 segments, with at most 2 MiB of f32 for their partial sums.
    segments = larger(1, smaller(smaller(8, (512 << 10) / larger(1, weights)), chunks.count));
  }
  GRADUS_INLINE Size tasks(const Conv2dShape& v) const { return segments * v.groups * channel_blocks; }
};

template <class T> Size weight_grad_scratch(const WeightPlan& plan) {  // of one thread
  return band_size<T>(plan.c, plan.chunks, plan.channel_block) + blocks_of(kPackedRows, 16) * 16;
}
GRADUS_INLINE Size partial_size(const WeightPlan& plan) { return blocks_of((plan.segments - 1) * plan.weights, 16) * 16; }

template <class T> void weight_grad_chunk(const WeightPlan& plan, const Conv2dShape& v, const Chunk& chunk, Size g, Size channel, T* dw,
                                          const T* x, const T* dy, bool accumulate, T* scratch) {
  const Size rows = v.k / v.groups, channels = smaller(plan.channel_block, plan.c.channels - channel),
             depth = plan.c.channels * plan.c.taps();
  const Size plane = v.out_h * v.out_w, image_pixels = chunk.rows * v.out_w;
  const T* const source = x + g * plan.c.channels * v.h * v.w;
  const T* const gradient = dy + (chunk.image * v.k + g * rows) * plane + chunk.row * v.out_w;
  if (is_depthwise(plan.c, rows))
    return plane_weight_grad(dw + g * depth, plan.c, chunk, source, gradient, v.k * plane, accumulate, scratch);
  Band<T> band(plan.c, chunk, source, scratch);
  band.load(channel, channel + channels);
  const PixelRows<T> a{gradient, v.k * plane, plane, image_pixels};
  WindowColumns<T> b(plan.c, chunk, band);
  const WeightOutput<T> c{dw + g * rows * depth + channel * plan.c.taps(), depth, accumulate};
  alignas(64) T panel[WindowColumns<T>::kBufferSize];
  T* const packed = scratch + band_size<T>(plan.c, plan.chunks, plan.channel_block);
  BlockedProduct<T, PixelRows<T>, WindowColumns<T>, WeightOutput<T>>{rows, channels * plan.c.taps(), chunk.images * image_pixels, a, b,
                                                                     c,    {packed, panel}}
      .run();
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
