// The convolution family as blocked products (gemm.h) whose b is packed straight from the image. Hot file (see isa.h).
//
//   y  = w times the pixels' windows: rows are output channels, columns pixels, depth (channel, tap)
//   dx = the same from dy, with the taps reversed; a stride splits x into phases, each with the taps that meet it
//   dw = dy times the windows, transposed: rows are output channels, columns (channel, tap), depth pixels
#include <gradus/kernels/cpu/convolution_table.h>
#include <gradus/kernels/cpu/correlation.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

/// Where the output of a correlation goes: pixel (u, v) of channel i of an image is data[i * plane + (row + u * row_step) * width + column
/// + v * column_step], plus image * image_stride.
template <class T> struct Output {
  T* data;
  Size image_stride, plane, width;
  Size row, row_step, column, column_step;

  GRADUS_INLINE Size offset(Size image, Size u, Size v) const {
    return image * image_stride + (row + u * row_step) * width + column + v * column_step;
  }
};

/// The vectors that gather a panel's pixels: one or two for each run of neighbours in an output row.
template <class T> struct Gather {
  Size from[kPanel<T>];  // in the band
  int to[kPanel<T>];     // lane of the panel
  int count = 0;
};

/// b of a correlation: a panel is kPanel pixels by (channel, tap) pairs.
template <class T> class PixelColumns {
 public:
  static constexpr bool kKeeps = false;

  PixelColumns(const Correlation& c, const Chunk& chunk, Band<T>& band) : c_(c), chunk_(chunk), band_(band) {}

  void begin(Size k0, Size kc) {
    if (kc == 0) return;
    const Size taps = c_.taps(), first = k0 / taps;
    band_.load(first, (k0 + kc - 1) / taps + 1);
    Size channel = 0, row = k0 % taps / c_.w.taps, column = k0 % c_.w.taps;
    for (Size p = 0; p < kc; ++p) {
      offsets_[p] = channel + band_.tap_offset(row, column);
      if (++column < c_.w.taps) continue;
      column = 0;
      if (++row == c_.h.taps) row = 0, channel += band_.channel_stride();
    }
  }

  ColumnPanel<T> panel(Size j, Size columns, Size, Size kc, T* buffer) const {
    const Gather<T> gather = gather_of(j, columns);
    switch (gather.count) {
      case 1: pack<1>(buffer, gather, kc); break;
      case 2: pack<2>(buffer, gather, kc); break;
      case 3: pack<3>(buffer, gather, kc); break;
      case 4: pack<4>(buffer, gather, kc); break;
      case 5: pack<5>(buffer, gather, kc); break;
      default: pack<0>(buffer, gather, kc);
    }
    return {buffer, kPanel<T>};
  }

 private:
  Gather<T> gather_of(Size j, Size columns) const {
    const Size width = c_.w.out, image_pixels = chunk_.rows * width;
    Size image = j / image_pixels, row = j % image_pixels / width, column = j % width;
    Gather<T> gather;
    for (Size lane = 0; lane < columns;) {
      const Size length = smaller(width - column, columns - lane);
      const Size from = image * band_.image_stride() + row * band_.row_stride() + column;
      for (Size i = 0; i < length; i += Vec<T>::W, ++gather.count)
        gather.from[gather.count] = from + i, gather.to[gather.count] = int(lane + i);
      lane += length, column = 0;
      if (++row == chunk_.rows) row = 0, ++image;
    }
    return gather;
  }

  /// Vectors in order: what one writes past the end of its run is overwritten by the next, in this row of the panel or the one after it.
  template <int Count> void pack(T* buffer, const Gather<T>& gather, Size kc) const {
    const T* data = band_.data();
    for (Size p = 0; p < kc; ++p, buffer += kPanel<T>) {
      const T* x = data + offsets_[p];
      if constexpr (Count > 0 && Count <= kPanel<T>) {
        GRADUS_UNROLL for (int v = 0; v < Count; ++v) Vec<T>::load(x + gather.from[v]).store(buffer + gather.to[v]);
      } else {
        for (int v = 0; v < gather.count; ++v) Vec<T>::load(x + gather.from[v]).store(buffer + gather.to[v]);
      }
    }
  }

  const Correlation& c_;
  const Chunk& chunk_;
  Band<T>& band_;
  Size offsets_[kMaxDepth];
};

/// c of a correlation: a tile's columns are pixels, which may lie apart, in several rows or images.
template <class T> class PixelOutput {
 public:
  PixelOutput(const Correlation& c, const Chunk& chunk, const Output<T>& out, const T* bias)
      : c_(c), chunk_(chunk), out_(out), bias_(bias) {
    dense_ = out.row_step == 1 && out.column_step == 1 && out.width == c.w.out;
  }

  void compute(Size rows, Size kc, const RowPanel<T>& a, const ColumnPanel<T>& b, Size i, Size j, Size columns, bool first,
               bool last) const {
    if (j != panel_) find_pieces(j, columns);
    const T* bias = last && bias_ ? bias_ + i : nullptr;
    T* const channel = out_.data + i * out_.plane;
    if (count_ == 1 && out_.column_step == 1)
      return compute_up_to_2<T>(rows, kc, a, b, {channel + pieces_[0].offset, out_.plane, columns, !first, nullptr, bias});
    T tile[kTileRows * kPanel<T>];
    compute_up_to_2<T>(rows, kc, a, b, {tile, kPanel<T>, kPanel<T>, false});
    for (Size l = 0; l < rows; ++l) scatter(channel + l * out_.plane, tile + l * kPanel<T>, !first, bias ? bias + l : nullptr);
  }

 private:
  /// Neighbours in the output: column_step apart, one image's, or one row's if rows do not follow each other.
  struct Piece {
    Size lane, length, offset;
  };

  void find_pieces(Size j, Size columns) const {
    const Size width = c_.w.out, image_pixels = chunk_.rows * width;
    Size image = j / image_pixels, pixel = j % image_pixels;
    panel_ = j, count_ = 0;
    for (Size lane = 0, length; lane < columns; lane += length) {
      const Size row = dense_ ? 0 : pixel / width, column = pixel - row * width;
      length = smaller((dense_ ? image_pixels : width) - column, columns - lane);
      pieces_[count_++] = {lane, length, out_.offset(chunk_.image + image, chunk_.row + row, 0) + column * out_.column_step};
      pixel += length;
      if (pixel == image_pixels) pixel = 0, ++image;
    }
  }

  GRADUS_INLINE void scatter(T* channel, const T* sums, bool add, const T* bias) const {
    for (int p = 0; p < count_; ++p) {
      const Piece& piece = pieces_[p];
      T* const c = channel + piece.offset;
      if (out_.column_step == 1) put_run(c, sums + piece.lane, piece.length, add, bias);
      else put_apart(c, sums + piece.lane, piece.length, out_.column_step, add, bias);
    }
  }
  static GRADUS_INLINE void put_run(T* c, const T* sums, Size n, bool add, const T* bias) {
    constexpr int W = Vec<T>::W;
    Destination<T> d{c, 0, n, add, nullptr, bias};
    for (; d.columns > 0; d.c += W, sums += W, d.columns -= W) {
      Vec<T> acc[1] = {d.columns >= W ? Vec<T>::load(sums) : load_first(sums, d.columns)};
      if (d.columns >= W) put_whole(d, acc, 0);
      else put_first(d, acc, 0, d.columns);
    }
  }
  static GRADUS_INLINE void put_apart(T* c, const T* sums, Size n, Size step, bool add, const T* bias) {
    for (Size l = 0; l < n; ++l, c += step) {
      const T v = add ? *c + sums[l] : sums[l];
      *c = bias ? v + *bias : v;
    }
  }

  const Correlation& c_;
  const Chunk& chunk_;
  const Output<T>& out_;
  const T* bias_;
  bool dense_;
  mutable Piece pieces_[kPanel<T>];  // of the panel in work: tiles of rows follow each other
  mutable int count_ = 0;
  mutable Size panel_ = -1;
};

/// a of the forward pass: the weights where they are.
template <class T> struct WeightRows {
  const T* w;
  Size depth;
  RowPanel<T> panel(Size i, Size, Size k0, Size, T*) const { return {w + i * depth + k0, depth, 1}; }
};

/// a of the input gradient: row i is an input channel, depth (output channel, tap of the phase).
template <class T> struct TransposedWeightRows {
  const T* w;
  Size kernel, kernel_width, channels;      // r s, s, c of the group
  Size row, row_step, column, column_step;  // of the kernel, that the phase's taps visit
  Size taps_h, taps_w;

  RowPanel<T> panel(Size i, Size rows, Size k0, Size kc, T* buffer) const {
    const Size taps = larger(1, taps_h * taps_w);
    Size k = k0 / taps, q = k0 % taps / larger(1, taps_w), t = k0 % larger(1, taps_w);
    for (Size p = 0; p < kc; ++p) {
      const T* from = w + (k * channels + i) * kernel + (row + q * row_step) * kernel_width + column + t * column_step;
      for (Size l = 0; l < rows; ++l) buffer[p * kTileRows + l] = from[l * kernel];
      if (++t < taps_w) continue;
      t = 0;
      if (++q == taps_h) q = 0, ++k;
    }
    return {buffer, 1, kTileRows};
  }
};

template <class T, class A> void correlate(const Correlation& c, const Chunk& chunk, Size rows, const T* source, const A& a,
                                           const Output<T>& out, const T* bias, T* band_scratch, T* a_scratch) {
  Band<T> band(c, chunk, source, band_scratch);
  PixelColumns<T> b(c, chunk, band);
  const PixelOutput<T> y(c, chunk, out, bias);
  alignas(64) T panel[kPackedPanel<T>];
  const Size pixels = chunk.images * chunk.rows * c.w.out;
  BlockedProduct<T, A, PixelColumns<T>, PixelOutput<T>>{rows, pixels, c.channels * c.taps(), a,
                                                        b,    y,      {a_scratch, panel},    even_depth(c.channels * c.taps())}
      .run();
}

// Forward.

Correlation forward_correlation(const Conv2dShape& v) {
  return {v.n,
          v.c / v.groups,
          v.c * v.h * v.w,
          {v.h, v.out_h, v.stride_h, v.r, -v.pad_h, false},
          {v.w, v.out_w, v.stride_w, v.s, -v.pad_w, false}};
}

template <class T> std::size_t forward_workspace(const Conv2dShape& v) {
  const Correlation c = forward_correlation(v);
  const Chunks chunks(c, channels_of_block(c));
  return sizeof(T) * band_size<T>(c, chunks, channels_of_block(c)) * slots_for(chunks.count * v.groups);
}

template <class T> void forward(const Conv2dShape& v, T* y, const T* x, const T* w, const T* bias, T* scratch) {
  const Correlation c = forward_correlation(v);
  const Chunks chunks(c, channels_of_block(c));
  const Size band = band_size<T>(c, chunks, channels_of_block(c)), rows = v.k / v.groups, depth = c.channels * c.taps();
  parallel_with_slots(chunks.count * v.groups, [&](Size index, Size slot) {
    const Size g = index / chunks.count;
    const Output<T> out{y + g * rows * v.out_h * v.out_w, v.k * v.out_h * v.out_w, v.out_h * v.out_w, v.out_w, 0, 1, 0, 1};
    const WeightRows<T> a{w + g * rows * depth, depth};
    correlate(c, chunks(c, index % chunks.count), rows, x + g * c.channels * v.h * v.w, a, out, bias ? bias + g * rows : nullptr,
              scratch + slot * band, scratch);
  });
}

// Input gradient.

/// One axis of a phase: pixels first, first + stride, ... of x meet taps tap, tap + stride, ...
struct PhaseAxis {
  Axis axis;
  Size tap;
};

PhaseAxis phase_axis(Size phase, Size in, Size out, Size kernel, Size stride, Size pad) {
  const Size tap = (phase + pad) % stride, taps = kernel > tap ? (kernel - tap + stride - 1) / stride : 0;
  const Size pixels = in > phase ? (in - phase + stride - 1) / stride : 0;
  return {{out, pixels, 1, taps, (phase + pad - tap) / stride - (taps - 1), true}, tap};
}

struct Phase {
  PhaseAxis h, w;
  Correlation c;

  GRADUS_INLINE Phase(const Conv2dShape& v, Size index)
      : h(phase_axis(index / v.stride_w, v.h, v.out_h, v.r, v.stride_h, v.pad_h)),
        w(phase_axis(index % v.stride_w, v.w, v.out_w, v.s, v.stride_w, v.pad_w)),
        c{v.n, v.k / v.groups, v.k * v.out_h * v.out_w, h.axis, w.axis} {
    if (c.taps() == 0) c.channels = 0;  // no window reaches these pixels
  }
};

template <class T> Size phase_band(const Phase& p) {
  return band_size<T>(p.c, Chunks(p.c, channels_of_block(p.c)), channels_of_block(p.c));
}

/// Scratch of one thread, in elements: the largest phase's band, then packed weights.
template <class T> Size input_grad_band(const Conv2dShape& v) {
  Size most = 0;
  for (Size i = 0; i < v.stride_h * v.stride_w; ++i) most = larger(most, phase_band<T>(Phase(v, i)));
  return most;
}
template <class T> Size input_grad_scratch(const Conv2dShape& v) { return input_grad_band<T>(v) + blocks_of(kPackedRows, 16) * 16; }

Size input_grad_chunks(const Conv2dShape& v) {
  Size count = 0;
  for (Size i = 0; i < v.stride_h * v.stride_w; ++i) {
    const Phase p(v, i);
    count += Chunks(p.c, channels_of_block(p.c)).count * v.groups;
  }
  return count;
}

template <class T> std::size_t input_grad_workspace(const Conv2dShape& v) {
  return sizeof(T) * input_grad_scratch<T>(v) * slots_for(input_grad_chunks(v));
}

template <class T>
void input_grad_chunk(const Conv2dShape& v, const Phase& p, Size index, Size phase, T* dx, const T* dy, const T* w, T* scratch) {
  const Chunks chunks(p.c, channels_of_block(p.c));
  const Size g = index / chunks.count, rows = v.c / v.groups, kernel = v.r * v.s;
  const Output<T> out{dx + g * rows * v.h * v.w, v.c * v.h * v.w, v.h * v.w,          v.w,
                      phase / v.stride_w,        v.stride_h,      phase % v.stride_w, v.stride_w};
  const TransposedWeightRows<T> a{
      w + g * (v.k / v.groups) * rows * kernel, kernel, v.s, rows, p.h.tap, v.stride_h, p.w.tap, v.stride_w, p.c.h.taps, p.c.w.taps};
  correlate(p.c, chunks(p.c, index % chunks.count), rows, dy + g * (v.k / v.groups) * v.out_h * v.out_w, a, out,
            static_cast<const T*>(nullptr), scratch, scratch + input_grad_band<T>(v));
}

template <class T> void input_grad(const Conv2dShape& v, T* dx, const T* dy, const T* w, T* scratch) {
  parallel_with_slots(input_grad_chunks(v), [&](Size index, Size slot) {
    for (Size i = 0; i < v.stride_h * v.stride_w; ++i) {
      const Phase p(v, i);
      const Size count = Chunks(p.c, channels_of_block(p.c)).count * v.groups;
      if (index < count) return input_grad_chunk(v, p, index, i, dx, dy, w, scratch + slot * input_grad_scratch<T>(v));
      index -= count;
    }
  });
}

// Weight gradient.

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
Size partial_size(const WeightPlan& plan) { return blocks_of((plan.segments - 1) * plan.weights, 16) * 16; }

template <class T> std::size_t weight_grad_workspace(const Conv2dShape& v) {
  const WeightPlan plan(v);
  return sizeof(T) * (partial_size(plan) + weight_grad_scratch<T>(plan) * slots_for(plan.tasks(v)));
}

template <class T> void weight_grad_chunk(const WeightPlan& plan, const Conv2dShape& v, const Chunk& chunk, Size g, Size channel, T* dw,
                                          const T* x, const T* dy, bool accumulate, T* scratch) {
  const Size rows = v.k / v.groups, channels = smaller(plan.channel_block, plan.c.channels - channel),
             depth = plan.c.channels * plan.c.taps();
  const Size plane = v.out_h * v.out_w, image_pixels = chunk.rows * v.out_w;
  Band<T> band(plan.c, chunk, x + g * plan.c.channels * v.h * v.w, scratch);
  band.load(channel, channel + channels);
  const PixelRows<T> a{dy + (chunk.image * v.k + g * rows) * plane + chunk.row * v.out_w, v.k * plane, plane, image_pixels};
  WindowColumns<T> b(plan.c, chunk, band);
  const WeightOutput<T> c{dw + g * rows * depth + channel * plan.c.taps(), depth, accumulate};
  alignas(64) T panel[WindowColumns<T>::kBufferSize];
  T* const packed = scratch + band_size<T>(plan.c, plan.chunks, plan.channel_block);
  BlockedProduct<T, PixelRows<T>, WindowColumns<T>, WeightOutput<T>>{rows, channels * plan.c.taps(), chunk.images * image_pixels, a, b,
                                                                     c,    {packed, panel}}
      .run();
}

template <class T> void weight_grad(const Conv2dShape& v, T* dw, const T* x, const T* dy, T* scratch) {
  const WeightPlan plan(v);
  if (plan.chunks.count == 0) {
    for (Size i = 0; i < plan.weights; ++i) dw[i] = T(0);
    return;
  }
  T* const threads = scratch + partial_size(plan);
  parallel_with_slots(plan.tasks(v), [&](Size index, Size slot) {
    const Size segment = index % plan.segments, block = index / plan.segments;
    const Size g = block / plan.channel_blocks, channel = block % plan.channel_blocks * plan.channel_block;
    const Size begin = plan.chunks.count * segment / plan.segments, end = plan.chunks.count * (segment + 1) / plan.segments;
    T* const sum = segment == 0 ? dw : scratch + (segment - 1) * plan.weights;
    for (Size i = begin; i < end; ++i)
      weight_grad_chunk(plan, v, plan.chunks(plan.c, i), g, channel, sum, x, dy, i > begin, threads + slot * weight_grad_scratch<T>(plan));
  });
  for (Size s = 1; s < plan.segments; ++s)
    for (Size i = 0; i < plan.weights; ++i) dw[i] += scratch[(s - 1) * plan.weights + i];
}

// The table.

template <class F> GRADUS_INLINE void with_type(DType dtype, const F& f) { dtype == DType::f32 ? f(float{}) : f(double{}); }

std::size_t conv2d_workspace_bytes(DType dtype, const Conv2dShape& v) {
  return dtype == DType::f32 ? forward_workspace<float>(v) : forward_workspace<double>(v);
}
void conv2d(Array y, ConstArray x, ConstArray w, ConstArray bias, const Conv2dShape& v, Workspace ws) {
  GRADUS_ASSERT(ws.bytes >= conv2d_workspace_bytes(y.dtype, v));
  with_type(y.dtype, [&](auto t) {
    using T = decltype(t);
    forward(v, y.as<T>(), x.as<T>(), w.as<T>(), bias ? bias.as<T>() : nullptr, static_cast<T*>(ws.data));
  });
}
std::size_t conv2d_input_grad_workspace_bytes(DType dtype, const Conv2dShape& v) {
  return dtype == DType::f32 ? input_grad_workspace<float>(v) : input_grad_workspace<double>(v);
}
void conv2d_input_grad(Array dx, ConstArray dy, ConstArray w, const Conv2dShape& v, Workspace ws) {
  GRADUS_ASSERT(ws.bytes >= conv2d_input_grad_workspace_bytes(dx.dtype, v));
  with_type(dx.dtype, [&](auto t) {
    using T = decltype(t);
    input_grad(v, dx.as<T>(), dy.as<T>(), w.as<T>(), static_cast<T*>(ws.data));
  });
}
std::size_t conv2d_weight_grad_workspace_bytes(DType dtype, const Conv2dShape& v) {
  return dtype == DType::f32 ? weight_grad_workspace<float>(v) : weight_grad_workspace<double>(v);
}
void conv2d_weight_grad(Array dw, ConstArray x, ConstArray dy, const Conv2dShape& v, Workspace ws) {
  GRADUS_ASSERT(ws.bytes >= conv2d_weight_grad_workspace_bytes(dw.dtype, v));
  with_type(dw.dtype, [&](auto t) {
    using T = decltype(t);
    weight_grad(v, dw.as<T>(), x.as<T>(), dy.as<T>(), static_cast<T*>(ws.data));
  });
}

}  // namespace

extern const ConvolutionTable convolution_table;
const ConvolutionTable convolution_table{
    conv2d_workspace_bytes, conv2d, conv2d_input_grad_workspace_bytes, conv2d_input_grad, conv2d_weight_grad_workspace_bytes,
    conv2d_weight_grad};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
