// A chunk of a correlation as a blocked product: rows are output channels, columns pixels, depth (channel, tap). Hot files only.
#pragma once

#include <gradus/kernels/cpu/correlation.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

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

struct Pixel {
  Size image, row, column;
};

/// Which pixels the columns of the product are. Packed, all pixels of the chunk follow each other, and a panel may span rows and images.
/// By row, every row is padded to whole panels, which are then read where they are: no packing, but the padding is computed for nothing.
class PanelMap {
 public:
  GRADUS_INLINE PanelMap(bool rowwise, Size image_rows, Size columns, Size panel)
      : by_row(rowwise), rows(image_rows), pitch(rowwise ? blocks_of(columns, panel) * panel : columns), panel_(panel) {}

  /// The pixel of column j. Columns mostly come panel after panel: the next one is found without a division.
  GRADUS_INLINE const Pixel& pixel(Size j) {
    if (j == j_ + panel_) {
      for (pixel_.column += panel_; pixel_.column >= pitch; pixel_.column -= pitch)
        if (++pixel_.row == rows) pixel_.row = 0, ++pixel_.image;
    } else if (j != j_) {
      pixel_ = {j / pitch / rows, j / pitch % rows, j % pitch};
    }
    j_ = j;
    return pixel_;
  }

  const bool by_row;
  const Size rows, pitch;  // rows of an image of the chunk, columns of a row

 private:
  Size panel_, j_ = 0;
  Pixel pixel_{0, 0, 0};
};

/// Packing a pixel costs about as much as 4 rows of its product: that much padding is cheaper. A panel's last vector may be left out, at
/// two thirds of the cost of a whole panel.
template <class T> bool rows_pay(Size width, Size product_rows) {
  constexpr Size W = Vec<T>::W;
  const Size rest = width % kPanel<T>, padded = blocks_of(width, kPanel<T>) * kPanel<T>;
  const Size cost = rest > 0 && rest <= W ? padded - 2 * W / 3 : padded;
  return (cost - width) * product_rows <= 4 * width;
}

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

  PixelColumns(const Correlation& c, PanelMap& map, Band<T>& band) : c_(c), map_(map), band_(band) {}

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
    if (map_.by_row) return {band_.data() + place(map_.pixel(j)), 0, nullptr, 0, offsets_};
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
  GRADUS_INLINE Size place(const Pixel& p) const { return p.image * band_.image_stride() + p.row * band_.row_stride() + p.column; }

  Gather<T> gather_of(Size j, Size columns) const {
    Pixel p = map_.pixel(j);
    Gather<T> gather;
    for (Size lane = 0, length; lane < columns; lane += length) {
      length = smaller(c_.w.out - p.column, columns - lane);
      const Size from = place(p);
      for (Size i = 0; i < length; i += Vec<T>::W, ++gather.count)
        gather.from[gather.count] = from + i, gather.to[gather.count] = int(lane + i);
      p.column = 0;
      if (++p.row == map_.rows) p.row = 0, ++p.image;
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
  PanelMap& map_;
  Band<T>& band_;
  Size offsets_[kMaxDepth];
};

/// c of a correlation: a tile's columns are pixels, which may lie apart, in several rows or images.
template <class T> class PixelOutput {
 public:
  PixelOutput(const Correlation& c, const Chunk& chunk, PanelMap& map, const Output<T>& out, const T* bias)
      : c_(c), chunk_(chunk), map_(map), out_(out), bias_(bias) {
    dense_ = out.row_step == 1 && out.column_step == 1 && out.width == c.w.out;
  }

  void compute(Size rows, Size kc, const RowPanel<T>& a, const ColumnPanel<T>& b, Size i, Size j, Size columns, bool first,
               bool last) const {
    if (j != panel_) find_pieces(j, columns);
    const T* bias = last && bias_ ? bias_ + i : nullptr;
    T* const channel = out_.data + i * out_.plane;
    if (count_ == 1 && out_.column_step == 1)
      return compute_up_to_2<T>(rows, kc, a, b, {channel + pieces_[0].offset, out_.plane, lanes_, !first, nullptr, bias});
    T tile[kTileRows * kPanel<T> + Vec<T>::W];  // a run may be read to the end of its last vector
    compute_up_to_2<T>(rows, kc, a, b, {tile, kPanel<T>, lanes_ > Vec<T>::W ? kPanel<T> : Vec<T>::W, false});
    for (Size l = 0; l < rows; ++l) scatter(channel + l * out_.plane, tile + l * kPanel<T>, !first, bias ? bias + l : nullptr);
  }

 private:
  /// Neighbours in the output: column_step apart, one image's, or one row's if rows do not follow each other.
  struct Piece {
    Size lane, length, offset;
  };

  void find_pieces(Size j, Size columns) const {
    panel_ = j, count_ = 0;
    Pixel p = map_.pixel(j);
    lanes_ = map_.by_row ? smaller(columns, c_.w.out - p.column) : columns;
    for (Size lane = 0, length; lane < lanes_; lane += length) {
      length = smaller((dense_ ? map_.rows - p.row : 1) * c_.w.out - p.column, lanes_ - lane);
      pieces_[count_++] = {lane, length, out_.offset(chunk_.image + p.image, chunk_.row + p.row, p.column)};
      p.column = 0;  // if there is another piece, this one ended its row, or its image
      if (dense_ || ++p.row == map_.rows) p.row = 0, ++p.image;
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
      Vec<T> acc[1] = {Vec<T>::load(sums)};
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
  PanelMap& map_;
  const Output<T>& out_;
  const T* bias_;
  bool dense_;
  mutable Piece pieces_[kPanel<T>];  // of the panel in work: tiles of rows follow each other
  mutable int count_ = 0;
  mutable Size panel_ = -1, lanes_ = 0;
};

/// The rows of a chunk's outputs, `rows` of them: a by the windows of its pixels.
template <class T, class A> void correlate(const Correlation& c, const Chunk& chunk, Size rows, const T* source, const A& a,
                                           const Output<T>& out, const T* bias, T* band_scratch, T* a_scratch) {
  Band<T> band(c, chunk, source, band_scratch);
  // The planes of an image may be any distance apart, a power of two too: rows of it are packed unless few tiles use them.
  PanelMap map(rows_pay<T>(c.w.out, rows) && (!band.direct() || rows <= kTileRows), chunk.rows, c.w.out, kPanel<T>);
  PixelColumns<T> b(c, map, band);
  const PixelOutput<T> y(c, chunk, map, out, bias);
  alignas(64) T panel[kPackedPanel<T>];
  const Size depth = c.channels * c.taps(), columns = chunk.images * chunk.rows * map.pitch;
  BlockedProduct<T, A, PixelColumns<T>, PixelOutput<T>>{rows, columns, depth, a, b, y, {a_scratch, panel}, even_depth(depth)}.run();
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
