// Moving kernels on the device against those on the CPU, bit for bit: shapes that choose each path, and shapes drawn at random.
#include <algorithm>
#include <memory>
#include <numeric>
#include <string>

#include <gradus/kernels/shape.h>
#include <gradus/tests/kernels/cuda/any_array.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;
using Position = std::vector<Index>;
constexpr DType kSizes[] = {DType::u8, DType::bf16, DType::f32, DType::f64};  // 1, 2, 4 and 8 bytes

/// f(y, x) on both sides, x `offset` elements behind an aligned address.
template <class Device, class Cpu>
void compare_moves(const Device& on_device, const Cpu& on_cpu, const Shape& y_shape, const AnyArray& x, int offset = 0) {
  AnyArray want(y_shape, x.dtype);
  on_cpu(want.array(), x.array());
  AnyOnDevice y(y_shape, x.dtype, offset), from(x, offset);
  on_device(y.array(), from.array());
  check_same_bits(y.read(), want);
}

void check_permute(const Shape& shape, const std::vector<int>& permutation, DType dtype, int offset) {
  Shape permuted;
  std::string axes;
  for (const int a : permutation) {
    permuted.push_back(shape[a]);
    axes += std::to_string(a);
  }
  INFO("permute " << to_string(shape) << " " << text(dtype) << " axes " << axes << " offset " << offset);
  compare_moves([&](Array y, ConstArray x) { cuda::permute(y, x, permutation.data()); },
                [&](Array y, ConstArray x) { cpu::permute(y, x, permutation.data()); }, permuted, random_array(shape, dtype, 1), offset);
}

Shape random_shape(std::mt19937& rng, int max_rank = 5, Index max_extent = 7) {
  Shape shape;
  for (int a = static_cast<int>(rng() % static_cast<unsigned>(max_rank + 1)); a > 0; --a)
    shape.push_back(rng() % 20 == 0 ? 0 : 1 + rng() % static_cast<unsigned>(max_extent));
  return shape;
}

struct Window {
  Shape x, y;
  Position starts, steps;
};
void check_slice(const Window& w, DType dtype, int offset) {
  INFO("slice " << to_string(w.y) << " of " << to_string(w.x) << " " << text(dtype) << " offset " << offset);
  compare_moves([&](Array y, ConstArray x) { cuda::slice(y, x, w.starts.data(), w.steps.data()); },
                [&](Array y, ConstArray x) { cpu::slice(y, x, w.starts.data(), w.steps.data()); }, w.y, random_array(w.x, dtype, 2),
                offset);
  if (!is_floating(dtype)) return;
  const AnyArray term = random_array(w.y, dtype, 3);
  AnyArray want = random_array(w.x, dtype, 4);
  AnyOnDevice sum(want, offset), from(term, offset);
  cpu::slice_add(want.array(), term.array(), w.starts.data(), w.steps.data());
  cuda::slice_add(sum.array(), from.array(), w.starts.data(), w.steps.data());
  check_same_bits(sum.read(), want);
}

void check_pad(const Shape& x_shape, const Position& low, const Position& high, double value, DType dtype, int offset) {
  Shape y_shape;
  for (int a = 0; a < x_shape.rank(); ++a)
    y_shape.push_back(x_shape[a] + low[static_cast<std::size_t>(a)] + high[static_cast<std::size_t>(a)]);
  INFO("pad " << to_string(x_shape) << " to " << to_string(y_shape) << " " << text(dtype) << " offset " << offset);
  compare_moves([&](Array y, ConstArray x) { cuda::pad(y, x, low.data(), value); },
                [&](Array y, ConstArray x) { cpu::pad(y, x, low.data(), value); }, y_shape, random_array(x_shape, dtype, 5), offset);
}

void check_concat(const std::vector<Shape>& shapes, int axis, DType dtype, int offset) {
  Shape y_shape;
  for (int a = 0; a < shapes[0].rank(); ++a) {
    Index n = 0;
    for (const Shape& s : shapes) n += s[a];
    y_shape.push_back(a == axis ? n : shapes[0][a]);
  }
  INFO("concat " << shapes.size() << " into " << to_string(y_shape) << " along " << axis << " " << text(dtype) << " offset " << offset);
  std::vector<AnyArray> parts;
  for (const Shape& s : shapes) parts.push_back(random_array(s, dtype, static_cast<std::uint32_t>(6 + parts.size())));
  std::vector<ConstArray> inputs;
  for (const AnyArray& p : parts) inputs.push_back(p.array());
  AnyArray want(y_shape, dtype);
  cpu::concat(want.array(), inputs.data(), static_cast<int>(inputs.size()), axis);
  std::vector<std::unique_ptr<AnyOnDevice>> held;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    held.push_back(std::make_unique<AnyOnDevice>(parts[i], offset));
    inputs[i] = held[i]->array();
  }
  AnyOnDevice y(y_shape, dtype, offset);
  cuda::concat(y.array(), inputs.data(), static_cast<int>(inputs.size()), axis);
  check_same_bits(y.read(), want);
}

}  // namespace

TEST_CASE("cuda shape: permutations through tiles, strips and rows") {
  struct Case {
    Shape shape;
    std::vector<int> permutation;
  };
  const std::vector<Case> cases = {{{64, 64}, {1, 0}},
                                   {{32, 32}, {1, 0}},
                                   {{128, 260}, {1, 0}},
                                   {{33, 45}, {1, 0}},
                                   {{130, 67}, {1, 0}},
                                   {{3, 40, 50}, {0, 2, 1}},
                                   {{2, 36, 4, 40}, {2, 0, 3, 1}},
                                   {{2, 3, 20, 24}, {0, 2, 3, 1}},  // channels last: a strip across x
                                   {{2, 20, 24, 3}, {0, 3, 1, 2}},  // and back
                                   {{500, 2}, {1, 0}},
                                   {{2, 500}, {1, 0}},
                                   {{300, 4}, {1, 0}},
                                   {{300, 6}, {1, 0}},
                                   {{7, 300}, {1, 0}},
                                   {{300, 8}, {1, 0}},
                                   {{8, 300}, {1, 0}},
                                   {{300, 12}, {1, 0}},
                                   {{15, 64}, {1, 0}},
                                   {{15, 15}, {1, 0}},
                                   {{40, 3, 4}, {0, 2, 1}},
                                   {{4, 6, 5, 16}, {0, 2, 1, 3}},  // rows stay whole
                                   {{4, 6, 5, 3}, {2, 0, 1, 3}},
                                   {{2, 3, 4, 5}, {3, 2, 1, 0}},
                                   {{2, 2, 2, 2, 2, 2, 2, 33}, {7, 1, 0, 3, 2, 5, 4, 6}},
                                   {{3, 1, 5}, {1, 2, 0}},
                                   {{2, 3, 4}, {0, 1, 2}},
                                   {{4, 0, 2}, {2, 0, 1}},
                                   {{}, {}},
                                   {{9}, {0}}};
  for (const auto& [shape, permutation] : cases)
    for (const DType dtype : kSizes)
      for (const int offset : {0, 1}) check_permute(shape, permutation, dtype, offset);
}

TEST_CASE("cuda shape: permutations drawn at random") {
  std::mt19937 rng(7);
  for (int i = 0; i < 60; ++i) {
    const Shape shape = random_shape(rng, 6, 9);
    std::vector<int> permutation(static_cast<std::size_t>(shape.rank()));
    std::iota(permutation.begin(), permutation.end(), 0);
    std::shuffle(permutation.begin(), permutation.end(), rng);
    check_permute(shape, permutation, kSizes[i % 4], i % 3 == 0);
  }
}

TEST_CASE("cuda shape: slices and their adjoint") {
  const std::vector<Window> windows = {{{100}, {60}, {20}, {1}},
                                       {{100, 8}, {50, 8}, {16, 0}, {1, 1}},
                                       {{20, 16}, {20, 8}, {0, 4}, {1, 1}},
                                       {{20, 16}, {20, 7}, {0, 3}, {1, 1}},
                                       {{30, 64}, {10, 32}, {1, 32}, {3, 1}},
                                       {{300}, {100}, {1}, {3 - 1}},
                                       {{4, 5, 6, 7}, {2, 2, 3, 3}, {1, 0, 1, 1}, {1, 2, 2, 2}},
                                       {{2, 2000}, {2, 1500}, {0, 100}, {1, 1}},
                                       {{5, 5}, {0, 5}, {3, 0}, {1, 1}},
                                       {{}, {}, {}, {}}};
  for (const Window& w : windows)
    for (const DType dtype : kSizes)
      for (const int offset : {0, 1}) check_slice(w, dtype, offset);
  std::mt19937 rng(8);
  for (int i = 0; i < 40; ++i) {
    Window w{random_shape(rng), {}, {}, {}};
    for (const Index n : w.x) {
      const Index start = static_cast<Index>(rng() % static_cast<unsigned>(n + 1)), step = 1 + rng() % 3;
      const Index most = (n - start + step - 1) / step;
      w.y.push_back(most ? static_cast<Index>(rng() % static_cast<unsigned>(most + 1)) : 0);
      w.starts.push_back(start);
      w.steps.push_back(step);
    }
    check_slice(w, i % 2 ? DType::f32 : DType::f64, 0);
  }
}

TEST_CASE("cuda shape: padding") {
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8, DType::boolean, DType::bf16})
    for (const int offset : {0, 1}) {
      check_pad({2, 3, 5, 6}, {0, 0, 1, 1}, {0, 0, 1, 1}, 0, dtype, offset);
      check_pad({2, 3, 8, 32}, {0, 0, 4, 4}, {0, 0, 4, 4}, 1, dtype, offset);
      check_pad({6, 40}, {2, 0}, {3, 0}, 2, dtype, offset);
      check_pad({5, 4, 16}, {0, 3, 0}, {0, 1, 0}, 0, dtype, offset);
      check_pad({3000}, {1}, {0}, 7, dtype, offset);
      check_pad({4, 4}, {0, 0}, {0, 0}, 7, dtype, offset);
      check_pad({0, 3}, {2, 0}, {1, 1}, 7, dtype, offset);
      check_pad({}, {}, {}, 7, dtype, offset);
      check_pad({2, 1, 2, 1, 2, 1, 2, 3}, {1, 0, 1, 0, 1, 0, 1, 1}, {0, 1, 0, 1, 0, 1, 0, 1}, 0, dtype, offset);
    }
}

TEST_CASE("cuda shape: joining") {
  for (const DType dtype : kSizes)
    for (const int offset : {0, 1}) {
      check_concat({{4, 8}, {4, 16}, {4, 4}}, 1, dtype, offset);
      check_concat({{4, 8}, {4, 3}, {4, 0}, {4, 1}}, 1, dtype, offset);
      check_concat({{3, 50}, {1, 50}, {40, 50}}, 0, dtype, offset);
      check_concat({{5, 2, 6}, {5, 7, 6}}, 1, dtype, offset);
      check_concat({{2500}, {1}, {1500}}, 0, dtype, offset);
      check_concat(std::vector<Shape>(37, Shape{2, 12}), 0, dtype, offset);
      check_concat(std::vector<Shape>(20, Shape{33, 1}), 1, dtype, offset);
      check_concat({{0, 4}, {0, 4}}, 0, dtype, offset);
    }
}

TEST_CASE("cuda shape: flips and repetitions") {
  for (const DType dtype : kSizes)
    for (const int offset : {0, 1}) {
      for (const Shape& shape : {Shape{3, 5, 8}, Shape{40, 64}, Shape{3000}, Shape{2, 0}, Shape{}})
        for (unsigned axes = 0; axes < 1u << shape.rank(); ++axes) {
          INFO("flip " << to_string(shape) << " axes " << axes);
          compare_moves([&](Array y, ConstArray x) { cuda::flip(y, x, axes); }, [&](Array y, ConstArray x) { cpu::flip(y, x, axes); },
                        shape, random_array(shape, dtype, 9), offset);
        }
      const std::pair<Shape, Shape> pairs[] = {{{}, {1000}},    {{1}, {3, 5}},          {{64}, {40, 64}},          {{40, 1}, {40, 64}},
                                               {{7}, {5, 7}},   {{5, 1, 7}, {5, 3, 7}}, {{3, 1, 1}, {2, 3, 8, 8}}, {{2, 3}, {2, 3}},
                                               {{1, 4}, {0, 4}}};
      for (const auto& p : pairs) {
        const Shape &from = p.first, &to = p.second;
        INFO("broadcast " << to_string(from) << " to " << to_string(to) << " " << text(dtype));
        compare_moves(cuda::broadcast_to, cpu::broadcast_to, to, random_array(from, dtype, 10), offset);
      }
    }
}
