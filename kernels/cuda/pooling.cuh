// What pooling.cu and pooling_backward.cu share: the geometry of the windows, and planes in shared memory.
#pragma once

#include <gradus/kernels/pooling.h>

#include <gradus/kernels/cuda/dynamic_shared.cuh>
#include <gradus/kernels/cuda/reduce_launch.cuh>

namespace gradus::inline v0::cuda {

inline constexpr int kPoolThreads = 256;
inline constexpr std::size_t kStageBytes = 46 << 10;  // of the 48 KiB that every device has
inline constexpr std::int64_t kStageNumbers = 4096;   // of small planes so many side by side: 16 for each thread

/// A Pool2d in indices of type I, with what divides them.
template <class I> struct Windows {
  I h, w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, out_h, out_w;
  DividerOf<I> by_outputs, by_out_w, by_pixels, by_w, by_stride_h, by_stride_w;

  explicit Windows(const Pool2d& p)
      : h(static_cast<I>(p.h)),
        w(static_cast<I>(p.w)),
        kernel_h(static_cast<I>(p.kernel_h)),
        kernel_w(static_cast<I>(p.kernel_w)),
        stride_h(static_cast<I>(p.stride_h)),
        stride_w(static_cast<I>(p.stride_w)),
        pad_h(static_cast<I>(p.pad_h)),
        pad_w(static_cast<I>(p.pad_w)),
        out_h(static_cast<I>(p.out_h)),
        out_w(static_cast<I>(p.out_w)),
        by_outputs(p.out_h * p.out_w),
        by_out_w(p.out_w),
        by_pixels(p.h * p.w),
        by_w(p.w),
        by_stride_h(p.stride_h),
        by_stride_w(p.stride_w) {}
};

/// first .. last-1
template <class I> struct Range { I first, last; };

/// The real pixels of window o.
template <class I> __device__ inline Range<I> window_of(I o, I stride, I pad, I kernel, I size) {
  const I first = o * stride - pad, last = first + kernel;
  return {first > 0 ? first : 0, last < size ? last : size};
}
/// The windows that see pixel i.
template <class I, class D> __device__ inline Range<I> windows_at(I i, const D& by_stride, I stride, I pad, I kernel, I out) {
  using U = std::make_unsigned_t<I>;
  const I before = i + pad - kernel + stride;  // the first window is the least o with o stride > i + pad - kernel
  const I first = before > 0 ? static_cast<I>(by_stride.quotient(static_cast<U>(before))) : 0;
  const I last = static_cast<I>(by_stride.quotient(static_cast<U>(i + pad))) + 1;
  return {first, last < out ? last : out};
}

/// How blocks lie over planes: several whole planes a block, or a plane in `bands` of `rows` rows of what is written.
struct Stage {
  std::int64_t planes = 1, rows = 0, bands = 1;
  std::size_t bytes = 0;  // 0: nothing is staged

  unsigned grid(std::int64_t all_planes) const { return static_cast<unsigned>(ceil_div(all_planes, planes) * bands); }
};

/// What is read is [rows_in, width_in] a plane, what is written has rows_out rows; `rows_for(r)` rows are read for r rows written.
template <class F> Stage stage_of(std::int64_t planes, std::int64_t rows_in, std::int64_t width_in, std::int64_t rows_out,
                                  std::int64_t size_of_one, const F& rows_for) {
  const auto most = static_cast<std::int64_t>(kStageBytes) / size_of_one;
  Stage s;
  s.rows = rows_out;
  if (rows_in * width_in <= most) {
    s.planes = clamped(kStageNumbers / (rows_in * width_in), 1, clamped(planes / 256, 1, planes));  // and all processors at work
    s.bytes = static_cast<std::size_t>(s.planes * rows_in * width_in * size_of_one);
    return s;
  }
  while (s.rows > 1 && rows_for(s.rows) * width_in > most) s.rows = (s.rows + 1) / 2;
  s.bands = ceil_div(rows_out, s.rows);
  if (rows_for(s.rows) * width_in <= most) s.bytes = static_cast<std::size_t>(rows_for(s.rows) * width_in * size_of_one);
  return s;
}

/// Copies n neighbouring numbers to shared memory, by 16 bytes where their address allows.
template <class T> __device__ inline void stage(T* to, const T* from, int n) {
  constexpr int kPack = Pack<T>::kCount;
  int done = 0;
  if (reinterpret_cast<std::uintptr_t>(from) % sizeof(Pack<T>) == 0) {
    done = n / kPack * kPack;
    for (int i = static_cast<int>(threadIdx.x) * kPack; i < done; i += kPoolThreads * kPack) write_shared_pack(to + i, read_pack(from + i));
  }
  for (int i = done + static_cast<int>(threadIdx.x); i < n; i += kPoolThreads) to[i] = from[i];
}

/// Whether all indices of a plane, and of kStageNumbers beside it, fit in 31 bits.
inline bool fits_int(const Pool2d& p) {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  return p.h * p.w < most && p.out_h * p.out_w < most && p.h + p.kernel_h + p.stride_h < most && p.w + p.kernel_w + p.stride_w < most;
}

}  // namespace gradus::inline v0::cuda
