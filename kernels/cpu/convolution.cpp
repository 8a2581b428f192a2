// The convolution family as blocked products (gemm.h) whose b is read or packed straight from the image. Hot file (see isa.h).
//
//   y  = w times the pixels' windows: rows are output channels, columns pixels, depth (channel, tap)
//   dx = the same from dy, with the taps reversed; a stride splits x into phases, each with the taps that meet it
//   dw = dy times the windows, transposed: rows are output channels, columns (channel, tap), depth pixels
#include <gradus/kernels/cpu/convolution_table.h>
#include <gradus/kernels/cpu/weight_gradient.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

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
    if (row_step == 1 && column_step == 1) pack_kernels(i, rows, k0, kc, buffer);
    else pack_taps(i, rows, k0, kc, buffer);
    return {buffer, 1, kTileRows};
  }

 private:
  /// Every tap, in order: a kernel is a run of neighbours.
  void pack_kernels(Size i, Size rows, Size k0, Size kc, T* buffer) const {
    Size k = k0 / kernel, tap = k0 % kernel;
    for (Size p = 0, length; p < kc; p += length, tap = 0, ++k) {
      length = smaller(kernel - tap, kc - p);
      pack_transposed<T, kTileRows>(buffer + p * kTileRows, w + (k * channels + i) * kernel + tap, kernel, rows, length);
    }
  }
  void pack_taps(Size i, Size rows, Size k0, Size kc, T* buffer) const {
    if (kc == 0) return;
    Size k = k0 / (taps_h * taps_w), q = k0 % (taps_h * taps_w) / taps_w, t = k0 % taps_w;
    for (Size p = 0; p < kc; ++p) {
      const T* from = w + (k * channels + i) * kernel + (row + q * row_step) * kernel_width + column + t * column_step;
      for (Size l = 0; l < rows; ++l) buffer[p * kTileRows + l] = from[l * kernel];
      if (++t < taps_w) continue;
      t = 0;
      if (++q == taps_h) q = 0, ++k;
    }
  }
};

// Forward.

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
    correlate_group(c, chunks(c, index % chunks.count), rows, x + g * c.channels * v.h * v.w, a, out, bias ? bias + g * rows : nullptr,
                    scratch + slot * band, static_cast<T*>(nullptr));
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
  correlate_group(p.c, chunks(p.c, index % chunks.count), rows, dy + g * (v.k / v.groups) * v.out_h * v.out_w, a, out,
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

template <class T> std::size_t weight_grad_workspace(const Conv2dShape& v) {
  const WeightPlan plan(v);
  return sizeof(T) * (partial_size(plan) + weight_grad_scratch<T>(plan) * slots_for(plan.tasks(v)));
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
