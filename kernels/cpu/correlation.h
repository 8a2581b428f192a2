// A correlation: what the forward pass of a convolution is, and its input gradient, one phase of the stride at a time. And the band: the
// source pixels that a chunk of output pixels reads, copied so that the pixels of an output row are neighbours for every tap. Hot files
// only.
#pragma once

#include <gradus/kernels/convolution.h>
#include <gradus/kernels/cpu/gemm.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

using Size = std::int64_t;

/// One spatial axis: output position u reads source positions u * step + lowest + [0, taps), in this order or, flipped, backwards.
struct Axis {
  Size in, out, step, taps, lowest;
  bool flipped;

  GRADUS_INLINE Size tap(Size t) const { return flipped ? taps - 1 - t : t; }
  GRADUS_INLINE bool inside() const { return lowest >= 0 && (out - 1) * step + lowest + taps <= in; }
};

/// out(i, pixel) = sum over channel, tap of weight(i, channel, tap) source(channel, pixel at tap), the source being zero outside.
struct Correlation {
  Size images, channels;  // of one group
  Size image_stride;      // elements from one source image to the next
  Axis h, w;

  GRADUS_INLINE Size taps() const { return h.taps * w.taps; }
};

/// The forward pass of one group.
GRADUS_INLINE Correlation forward_correlation(const Conv2dShape& v) {
  return {v.n,
          v.c / v.groups,
          v.c * v.h * v.w,
          {v.h, v.out_h, v.stride_h, v.r, -v.pad_h, false},
          {v.w, v.out_w, v.stride_w, v.s, -v.pad_w, false}};
}

/// Output pixels that are computed together: whole images, or rows of one.
struct Chunk {
  Size image, images, row, rows;
};

inline constexpr Size kChunkPixels = 1024;       // 64 panels of f32 under AVX2: enough for the weights' way through L2 to be short
inline constexpr Size kBandElements = 96 << 10;  // 384 KiB of f32: a band stays in L2

/// How the band of a correlation is laid out: [channel][image][band row][phase of step][column]. Rows and phases that no tap reads are left
/// out, so that the pixels of an output row are neighbours whatever the step.
struct BandLayout {
  Size row_step;        // band rows from one output row to the next
  Size phases, width;   // of a band row
  Size image_rows;      // of one image of the chunk
  Size channel_stride;  // an odd number of 16 elements: channels meet different sets of the cache

  GRADUS_INLINE BandLayout(const Correlation& c, Size images, Size rows)
      : row_step(smaller(c.h.step, c.h.taps)),
        phases(smaller(c.w.step, c.w.taps)),
        width(c.w.out + (c.w.taps - 1) / c.w.step),
        image_rows((rows - 1) * row_step + c.h.taps),
        channel_stride((blocks_of(images * image_rows * phases * width, 16) | 1) * 16) {}
};

/// Depth of the blocks of a convolution's sums: equal blocks of at most kMaxDepth, so that 32 channels of a 3x3 kernel are one block.
GRADUS_INLINE Size even_depth(Size depth) { return depth == 0 ? 1 : blocks_of(depth, blocks_of(depth, kMaxDepth)); }

/// Channels that a block of kMaxDepth (channel, tap) pairs touches.
GRADUS_INLINE Size channels_of_block(const Correlation& c) { return smaller(c.channels, (kMaxDepth - 1) / larger(1, c.taps()) + 2); }

/// Chunks of a correlation: fixed by its shape.
struct Chunks {
  Size images, rows;  // in a chunk
  Size row_chunks;    // of an image
  Size count;

  GRADUS_INLINE explicit Chunks(const Correlation& c, Size channels) {
    const Size pixels = larger(1, c.h.out * c.w.out);
    const Size source_pixels = larger(1, smaller(c.h.step, c.h.taps) * smaller(c.w.step, c.w.taps));  // a pixel's, without the halo
    const Size limit = larger(1, smaller(kChunkPixels, kBandElements / larger(1, channels * source_pixels)));
    images = smaller(larger(1, limit / pixels), larger(1, c.images));
    rows = images > 1 ? c.h.out : smaller(c.h.out, larger(1, limit / larger(1, c.w.out)));
    row_chunks = rows > 0 ? blocks_of(c.h.out, rows) : 0;
    count = blocks_of(c.images, images) * row_chunks;
  }
  GRADUS_INLINE Chunk operator()(const Correlation& c, Size index) const {
    const Size image = index / row_chunks * images, row = index % row_chunks * rows;
    return {image, smaller(images, c.images - image), row, smaller(rows, c.h.out - row)};
  }
};

/// y[i] = x[lowest + i] for i in [0, n), zero where the index is outside [0, in); by vectors that may pass the end of y, whose next row is
/// written later. `readable`: so may x, by less than a vector.
template <class T> GRADUS_INLINE void copy_neighbours(T* y, const T* x, Size n, Size in, Size lowest, bool readable) {
  constexpr int W = Vec<T>::W;
  const Size begin = smaller(n, larger(0, -lowest)), end = larger(begin, smaller(n, in - lowest));
  const Vec<T> zero(T(0));
  if (begin > 0) zero.store(y);  // the loop after it is for wide margins
  for (Size i = W; i < begin; i += W) zero.store(y + i);
  Size i = begin;
  for (const Size whole = readable ? end : end - W + 1; i < whole; i += W) Vec<T>::load(x + lowest + i).store(y + i);
  for (; i < end; ++i) y[i] = x[lowest + i];
  if (end < n) zero.store(y + end);
  for (i = end + W; i < n; i += W) zero.store(y + i);
}
/// y[i] = x[lowest + i * step], likewise.
template <class T> GRADUS_INLINE void copy_every(T* y, const T* x, Size n, Size in, Size lowest, Size step) {
  const Size begin = lowest >= 0 ? 0 : smaller(n, blocks_of(-lowest, step));
  const Size end = larger(begin, smaller(n, in > lowest ? blocks_of(in - lowest, step) : 0));
  for (Size i = 0; i < begin; ++i) y[i] = T(0);
  for (Size i = begin; i < end; ++i) y[i] = x[lowest + i * step];
  for (Size i = end; i < n; ++i) y[i] = T(0);
}

/// How a chunk's pixels are read: output pixel (image, row, column) of the chunk at a tap of a channel is
/// data[channel * channel_stride + image * image_stride + row * row_stride + column + tap_offset(tap)].
template <class T> class Band {
 public:
  /// `source` is channel 0 of image 0 of this group. Where nothing is padded and the step is 1, the source itself is the band; not at its
  /// very end, since a panel may be read past the last pixel.
  Band(const Correlation& c, const Chunk& chunk, const T* source, T* scratch)
      : c_(c), chunk_(chunk), layout_(c, chunk.images, chunk.rows), source_(source + chunk.image * c.image_stride), scratch_(scratch) {
    direct_ = c.w.step == 1 && c.h.inside() && c.w.inside() && last_pixel() + kPanel<T> + Vec<T>::W <= end_of_source();
  }

  /// Makes channels [first, last) readable.
  void load(Size first, Size last) {
    first_ = first;
    if (direct_) return;
    for (Size channel = first; channel < last; ++channel) {
      T* y = scratch_ + (channel - first) * layout_.channel_stride;
      for (Size image = 0; image < chunk_.images; ++image)
        for (Size row = 0; row < layout_.image_rows; ++row, y += row_elements()) load_row(y, channel, image, row);
    }
  }

  GRADUS_INLINE bool direct() const { return direct_; }
  GRADUS_INLINE const T* data() const { return direct_ ? source_ + first_ * plane() + origin() : scratch_; }
  GRADUS_INLINE Size channel_stride() const { return direct_ ? plane() : layout_.channel_stride; }
  GRADUS_INLINE Size image_stride() const { return direct_ ? c_.image_stride : layout_.image_rows * row_elements(); }
  GRADUS_INLINE Size row_stride() const { return direct_ ? c_.h.step * c_.w.in : layout_.row_step * row_elements(); }
  GRADUS_INLINE Size tap_offset(Size tap_row, Size tap_column) const {
    const Size row = c_.h.tap(tap_row), column = c_.w.tap(tap_column);
    if (direct_) return row * c_.w.in + column;
    if (c_.w.step == 1) return row * row_elements() + column;
    return row * row_elements() + column % c_.w.step * layout_.width + column / c_.w.step;
  }

 private:
  GRADUS_INLINE Size plane() const { return c_.h.in * c_.w.in; }
  GRADUS_INLINE Size row_elements() const { return layout_.phases * layout_.width; }
  GRADUS_INLINE Size last_pixel() const {
    const Size row = (chunk_.row + chunk_.rows - 1) * c_.h.step + c_.h.lowest + c_.h.taps - 1;
    const Size column = c_.w.out - 1 + c_.w.lowest + c_.w.taps - 1;
    return (chunk_.image + chunk_.images - 1) * c_.image_stride + (c_.channels - 1) * plane() + row * c_.w.in + column;
  }
  GRADUS_INLINE Size end_of_source() const { return (c_.images - 1) * c_.image_stride + c_.channels * plane(); }
  GRADUS_INLINE Size origin() const { return (chunk_.row * c_.h.step + c_.h.lowest) * c_.w.in + c_.w.lowest; }

  void load_row(T* y, Size channel, Size image, Size row) const {
    const Size skipped = layout_.row_step < c_.h.step ? row / layout_.row_step * (c_.h.step - layout_.row_step) : 0;
    const Size from = c_.h.lowest + chunk_.row * c_.h.step + row + skipped;
    const bool exists = from >= 0 && from < c_.h.in;
    const T* x = source_ + image * c_.image_stride + channel * plane() + (exists ? from * c_.w.in : 0);
    const Size in = exists ? c_.w.in : 0;
    if (c_.w.step == 1) {
      const T* end = source_ - chunk_.image * c_.image_stride + end_of_source();
      return copy_neighbours(y, x, layout_.width, in, c_.w.lowest, end - x >= in + Vec<T>::W - 1);
    }
    for (Size phase = 0; phase < layout_.phases; ++phase, y += layout_.width)
      copy_every(y, x, layout_.width, in, c_.w.lowest + phase, c_.w.step);
  }

  const Correlation& c_;
  Chunk chunk_;
  BandLayout layout_;
  const T* source_;
  T* scratch_;
  Size first_ = 0;
  bool direct_;
};

/// Elements of scratch for one band, with room for reads and writes past its end.
template <class T> Size band_size(const Correlation& c, const Chunks& chunks, Size channels) {
  if (chunks.count == 0 || c.taps() == 0) return 0;
  return blocks_of(channels * BandLayout(c, chunks.images, chunks.rows).channel_stride + kPanel<T> + Vec<T>::W, 16) * 16;
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
