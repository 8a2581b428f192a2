// Computed positions on the device: the same bits as on the CPU, sums included.
#include <string>

#include <gradus/kernels/index.h>
#include <gradus/tests/kernels/cuda/support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

std::vector<std::int64_t> random_index(std::int64_t n, std::int64_t bound, std::uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<std::int64_t> index(static_cast<std::size_t>(n));
  for (std::int64_t& i : index) i = static_cast<std::int64_t>(rng() % static_cast<std::uint32_t>(bound));
  return index;
}

Shape with_extent(const Shape& s, int axis, std::int64_t extent) {
  Shape t;
  for (int i = 0; i < s.rank(); ++i) t.push_back(i == axis ? extent : s[i]);
  return t;
}

/// x, an axis of it, and how many positions are taken along it. Rows of whole words of every size, of broken ones; sums into few rows and
/// many, of short columns and long, of one and of several blocks.
struct Case {
  Shape shape;
  int axis;
  std::int64_t n;
};
const Case kCases[] = {{{7}, 0, 20},         {{10, 64}, 0, 33}, {{10, 3}, 0, 300},   {{300, 5}, 0, 40},     {{3, 9, 7}, 1, 50},
                       {{2, 40, 16}, 1, 70}, {{5, 600}, 1, 9},  {{6, 11}, 1, 100},   {{1000, 130}, 0, 700}, {{4, 1, 8}, 1, 6},
                       {{20, 4}, 0, 0},      {{40, 8}, 0, 600}, {{40, 7}, 0, 601},   {{5, 8}, 0, 900},      {{5, 7}, 0, 900},
                       {{0, 5}, 1, 3},       {{3, 5, 0}, 1, 4}, {{2, 3, 20}, 1, 37}, {{1, 50}, 1, 1000}};

template <class T> std::vector<T> values_of(std::int64_t n, std::uint32_t seed) { return random_values<T>(n, seed, 0, 100); }

template <class T> void check_reads(const Case& c, int offset) {
  INFO(to_string(c.shape), ", axis ", c.axis, ", n ", c.n, ", ", sizeof(T), " bytes, offset ", offset);
  const Shape to = with_extent(c.shape, c.axis, c.n), positions{c.n};
  const std::vector<T> x = values_of<T>(c.shape.elements(), 1);
  const std::vector<std::int64_t> rows = random_index(c.n, c.shape[c.axis], 2), each = random_index(to.elements(), c.shape[c.axis], 3);
  std::vector<T> selected(static_cast<std::size_t>(to.elements())), gathered(selected);
  const ConstArray from(x.data(), &c.shape, dtype_of<T>);
  cpu::index_select({selected.data(), &to, dtype_of<T>}, from, {rows.data(), &positions, DType::i64}, c.axis);
  cpu::gather({gathered.data(), &to, dtype_of<T>}, from, {each.data(), &to, DType::i64}, c.axis);

  auto x_ = device_array(x, c.shape, offset);
  auto rows_ = device_array(rows, positions), each_ = device_array(each, to);
  auto y = device_output<T>(to, offset);
  cuda::index_select(y.array(), x_.array(), rows_.array(), c.axis);
  check_same_bits(y.values(), selected);
  cuda::gather(y.array(), x_.array(), each_.array(), c.axis);
  check_same_bits(y.values(), gathered);
}

/// x of the case is what is added to; every third case puts all terms into one place.
template <class T> void check_sums(const Case& c, int offset, bool all_in_one) {
  INFO(to_string(c.shape), ", axis ", c.axis, ", n ", c.n, ", ", sizeof(T), " bytes, offset ", offset, ", all in one ", all_in_one);
  const Shape terms = with_extent(c.shape, c.axis, c.n), positions{c.n};
  const std::vector<T> x = values_of<T>(terms.elements(), 4), y = values_of<T>(c.shape.elements(), 5);
  const std::int64_t bound = all_in_one ? 1 : c.shape[c.axis];
  const std::vector<std::int64_t> rows = random_index(c.n, bound, 6), each = random_index(terms.elements(), bound, 7);
  std::vector<T> added(y), scattered(y);
  const ConstArray from(x.data(), &terms, dtype_of<T>);
  cpu::index_add({added.data(), &c.shape, dtype_of<T>}, from, {rows.data(), &positions, DType::i64}, c.axis);
  cpu::scatter_add({scattered.data(), &c.shape, dtype_of<T>}, from, {each.data(), &terms, DType::i64}, c.axis);

  auto x_ = device_array(x, terms, offset);
  auto rows_ = device_array(rows, positions), each_ = device_array(each, terms);
  auto a = device_array(y, c.shape, offset), b = device_array(y, c.shape, offset);
  cuda::index_add(a.array(), x_.array(), rows_.array(), c.axis);
  check_same_bits(a.values(), added);
  cuda::scatter_add(b.array(), x_.array(), each_.array(), c.axis);
  check_same_bits(b.values(), scattered);
}

template <class T> void check_one_hot(std::int64_t n, std::int64_t classes, int offset) {
  INFO(n, " of ", classes, " classes, ", sizeof(T), " bytes, offset ", offset);
  const std::vector<std::int64_t> index = random_index(n, classes, 8);
  const Shape from{n}, to{n, classes};
  std::vector<T> want(static_cast<std::size_t>(n * classes));
  cpu::one_hot({want.data(), &to, dtype_of<T>}, {index.data(), &from, DType::i64});
  auto index_ = device_array(index, from);
  auto y = device_output<T>(to, offset);
  cuda::one_hot(y.array(), index_.array());
  check_same_bits(y.values(), want);
}

}  // namespace

TEST_CASE("cuda index: index_select and gather move bits of any type along any axis") {
  for (const Case& c : kCases)
    for (const int offset : {0, 1}) {
      check_reads<float>(c, offset), check_reads<double>(c, offset);
      check_reads<std::int64_t>(c, offset), check_reads<std::uint8_t>(c, offset);
    }
}

TEST_CASE("cuda index: index_add and scatter_add add in the order of the index") {
  for (const Case& c : kCases)
    for (const int offset : {0, 1})
      for (const bool all_in_one : {false, true}) check_sums<float>(c, offset, all_in_one), check_sums<double>(c, offset, all_in_one);
}

TEST_CASE("cuda index: index_add with several rows for a warp, which change from term to term") {
  const auto check = [](auto zero, std::int64_t inner) {
    using T = decltype(zero);
    const Shape sums{520, 20, inner}, terms{520, 24, inner}, positions{24};  // so many planes that 8 warps own the rows of each
    const std::vector<T> x = values_of<T>(terms.elements(), 11), y = values_of<T>(sums.elements(), 12);
    const std::vector<std::int64_t> rows = random_index(24, 20, 13);
    std::vector<T> want(y);
    cpu::index_add({want.data(), &sums, dtype_of<T>}, {x.data(), &terms, dtype_of<T>}, {rows.data(), &positions, DType::i64}, 1);
    auto x_ = device_array(x, terms), y_ = device_array(y, sums);
    auto rows_ = device_array(rows, positions);
    cuda::index_add(y_.array(), x_.array(), rows_.array(), 1);
    check_same_bits(y_.values(), want);
  };
  for (const std::int64_t inner : {4, 5}) check(float(), inner), check(double(), inner);
}

TEST_CASE("cuda index: rows of two bytes") {
  const std::vector<std::uint8_t> x = values_of<std::uint8_t>(40, 1);
  const Shape s{20, 2}, positions{30};
  const Shape to{30, 2};
  const std::vector<std::int64_t> rows = random_index(30, 20, 2);
  std::vector<std::uint8_t> want(60);
  cpu::index_select({want.data(), &to, DType::u8}, {x.data(), &s, DType::u8}, {rows.data(), &positions, DType::i64}, 0);
  auto x_ = device_array(x, s);
  auto rows_ = device_array(rows, positions);
  auto y = device_output<std::uint8_t>(to);
  cuda::index_select(y.array(), x_.array(), rows_.array(), 0);
  check_same_bits(y.values(), want);
}

TEST_CASE("cuda index: one_hot") {
  for (const auto& [n, classes] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 1}, {7, 3}, {100, 10}, {33, 16}, {3, 1000}, {0, 4}, {301, 5}, {77, 17}})
    for (const int offset : {0, 1}) {
      check_one_hot<float>(n, classes, offset), check_one_hot<double>(n, classes, offset);
      check_one_hot<std::int64_t>(n, classes, offset), check_one_hot<std::uint8_t>(n, classes, offset);
    }
}

TEST_CASE("cuda index: what is out of range is read as 0, added nowhere, and found") {
  const std::vector<float> x = random_values<float>(12, 1, 1, 2);
  auto x_ = device_array(x, {3, 4});
  auto rows = device_array(std::vector<std::int64_t>{1, -1, 3, 0, std::int64_t{1} << 40}, {5});
  auto y = device_output<float>({5, 4});
  cuda::index_select(y.array(), x_.array(), rows.array(), 0);
  std::vector<float> want(20);
  std::copy(x.begin() + 4, x.begin() + 8, want.begin());
  std::copy(x.begin(), x.begin() + 4, want.begin() + 12);
  check_same_bits(y.values(), want);

  auto sums = device_array(std::vector<float>(12, 1), {3, 4});
  auto terms = device_array(std::vector<float>(20, 1), {5, 4});
  cuda::index_add(sums.array(), terms.array(), rows.array(), 0);
  check_same_bits(sums.values(), {2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1});

  auto each = device_array(std::vector<std::int64_t>{0, 3, -5, 2, 1, 1, 9, 0}, {2, 4});
  auto picked = device_output<float>({2, 4});
  cuda::gather(picked.array(), x_.array(), each.array(), 0);
  check_same_bits(picked.values(), {x[0], 0, 0, x[11], x[4], x[5], 0, x[3]});
  auto more = device_array(std::vector<float>(8, 1), {2, 4});
  cuda::scatter_add(sums.array(), more.array(), each.array(), 0);
  check_same_bits(sums.values(), {3, 2, 2, 3, 3, 3, 2, 2, 1, 1, 1, 2});
  auto long_column = device_array(std::vector<std::int64_t>(40, -1), {40});
  auto ones = device_array(std::vector<float>(40, 1), {40});
  auto total = device_array(std::vector<float>{7}, {1});
  cuda::scatter_add(total.array(), ones.array(), long_column.array(), 0);
  check_same_bits(total.values(), {7});

  auto hot = device_output<float>({5, 2});
  cuda::one_hot(hot.array(), rows.array());
  check_same_bits(hot.values(), {0, 1, 0, 0, 0, 0, 1, 0, 0, 0});

  CHECK(cuda::first_out_of_range(rows.array(), 3) == 1);
  CHECK(cuda::first_out_of_range(each.array(), 9) == 2);
  CHECK(cuda::first_out_of_range(long_column.array(), 5) == 0);
  std::vector<std::int64_t> many(3000, 4);
  auto fine = device_array(many, {3000});
  CHECK(cuda::first_out_of_range(fine.array(), 5) == -1);
  CHECK(cuda::first_out_of_range(fine.array(), 4) == 0);
  for (std::int64_t at = 0; at < 3000; at += at < 64 ? 1 : 97) {  // by every lane and warp
    std::vector<std::int64_t> one = many;
    one[static_cast<std::size_t>(at)] = 5;
    CHECK(cuda::first_out_of_range(device_array(one, {3000}).array(), 5) == at);
  }
  many[2900] = 5, many[1700] = -2;
  auto wrong = device_array(many, {3000});
  CHECK(cuda::first_out_of_range(wrong.array(), 5) == 1700);
  CHECK(cuda::first_out_of_range(device_output<std::int64_t>({0}).array(), 5) == -1);
}

TEST_CASE("cuda index: a noted index is thrown by the next call that waits, once") {
  auto fine = device_array(std::vector<std::int64_t>(600, 4), {600});
  cuda::note_out_of_range(fine.array(), 5, "another_op");
  cuda::synchronize("test");
  std::vector<std::int64_t> bad(600, 4);
  bad[599] = 77;
  auto wrong = device_array(bad, {600});
  cuda::note_out_of_range(wrong.array(), 5, "test_op");
  cuda::note_out_of_range(fine.array(), 3, "another_op");
  std::string text;
  try {
    cuda::synchronize("test");
  } catch (const IndexError& e) { text = e.what(); }
  INFO(text);
  CHECK(text.find("test_op") != std::string::npos);
  CHECK(text.find("77") != std::string::npos);
  CHECK(text.find("599") != std::string::npos);
  cuda::synchronize("test");
}
