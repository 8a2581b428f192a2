// IDX files, data sets, loaders, configs.
#include <doctest/doctest.h>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include <unistd.h>

#include <gradus/engine/memory.h>
#include <gradus/nn/config.h>
#include <gradus/nn/data/idx.h>
#include <gradus/nn/data/loader.h>
#include <gradus/nn/safetensors.h>
#include <gradus/nn/serialize.h>

using namespace gradus;

namespace {

using Bytes = std::vector<unsigned char>;

// An IDX header, then `values`.
Bytes idx(unsigned char type, const std::vector<std::uint32_t>& extents, const Bytes& values) {
  Bytes bytes{0, 0, type, static_cast<unsigned char>(extents.size())};
  for (const std::uint32_t extent : extents)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<unsigned char>(extent >> shift));
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

template <class E, class F> std::string text_of(F&& f) {
  try {
    f();
  } catch (const E& error) { return error.what(); }
  return "nothing was thrown";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The error of reading these bytes, from memory and from a file: both must name their source and say the same.
std::string rejection(const Bytes& bytes) {
  const std::string from_memory = text_of<IoError>([&] { read_idx(bytes, "FILE"); });
  char path[] = "/tmp/gradus-idx-XXXXXX";
  const int file = ::mkstemp(path);
  REQUIRE(file >= 0);
  REQUIRE(::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  ::close(file);
  std::string from_file = text_of<IoError>([&] { read_idx(std::string(path)); });
  std::remove(path);
  const std::size_t name = from_file.find(path);
  REQUIRE(name != std::string::npos);
  from_file.replace(name, std::string(path).size(), "FILE");
  CHECK(from_file == from_memory);
  return from_memory;
}

Dataset numbered(std::int64_t n) {
  std::vector<float> inputs(static_cast<std::size_t>(2 * n));
  std::iota(inputs.begin(), inputs.end(), 0.f);
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) labels[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 3);
  return make_dataset(Tensor::from(inputs, {n, 2}), Tensor::from(labels, {n}), {"a", "b", "c"});
}

std::vector<std::int64_t> ids(const Tensor& t) { return t.to_vector<std::int64_t>(); }

}  // namespace

TEST_CASE("idx: every type is read by value") {
  const Tensor u8 = read_idx(idx(0x08, {2, 2}, {0, 1, 127, 255}), "m");
  CHECK(u8.dtype() == DType::u8);
  CHECK(u8.shape() == Shape{2, 2});
  CHECK(u8.to_vector<std::uint8_t>() == std::vector<std::uint8_t>{0, 1, 127, 255});
  CHECK(ids(read_idx(idx(0x09, {2}, {0x80, 0x7F}), "m")) == std::vector<std::int64_t>{-128, 127});
  CHECK(ids(read_idx(idx(0x0B, {2}, {0xFF, 0xFE, 0x01, 0x00}), "m")) == std::vector<std::int64_t>{-2, 256});
  CHECK(ids(read_idx(idx(0x0C, {2}, {0x80, 0, 0, 0, 0, 1, 0, 0}), "m")) == std::vector<std::int64_t>{-2147483648LL, 65536});
  CHECK(read_idx(idx(0x0D, {1}, {0x40, 0x49, 0x0F, 0xDB}), "m").to_vector<float>()[0] == 3.14159274f);
  CHECK(read_idx(idx(0x0E, {1}, {0x3F, 0xF8, 0, 0, 0, 0, 0, 0}), "m").to_vector<double>()[0] == 1.5);
  CHECK(read_idx(idx(0x08, {1, 1, 1, 1}, {9}), "m").rank() == 4);
  CHECK(read_idx(idx(0x08, {0, 28, 28}, {}), "m").shape() == Shape{0, 28, 28});
}

TEST_CASE("idx: what is written is read back, NaN and infinity included") {
  const float nan = std::nanf("");
  const Tensor f32 = Tensor::from({1.f, -0.f, nan, std::numeric_limits<float>::infinity()}, {2, 2});
  const std::string bytes = to_idx(f32);
  const Tensor back = read_idx({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}, "m");
  CHECK(back.shape() == f32.shape());
  CHECK(std::signbit(back.values<float>()[1]));
  CHECK(std::isnan(back.values<float>()[2]));
  CHECK(to_idx(back) == bytes);
  for (const Tensor& x :
       {Tensor::from({1.5, -2.5}), Tensor::from({std::int64_t{-5}, std::int64_t{7}}), Tensor::from({std::uint8_t{0}, std::uint8_t{255}})}) {
    const std::string once = to_idx(x);
    const Tensor again = read_idx({reinterpret_cast<const unsigned char*>(once.data()), once.size()}, "m");
    CHECK(again.dtype() == x.dtype());
    CHECK(to_idx(again) == once);
  }
  CHECK(contains(text_of<ValueError>([] { to_idx(Tensor::from({std::int64_t{1} << 40})); }), "does not fit i32"));
  CHECK(contains(text_of<ValueError>([] { to_idx(Tensor::scalar(1)); }), "1 to 4 dimensions"));
  CHECK(contains(text_of<ValueError>([] { to_idx(Tensor::zeros({1}, DType::boolean)); }), "IDX holds"));
}

TEST_CASE("idx: hostile files are refused with file, offset and both numbers") {
  CHECK(contains(rejection({}), "FILE at offset 0: the file ends after 0 bytes; expected 4"));
  CHECK(contains(rejection({0, 0, 8}), "FILE at offset 3: the file ends after 3 bytes; expected 4"));
  CHECK(contains(rejection({0x1F, 0x8B, 8, 1, 0, 0, 0, 1, 7}),
                 "offset 0: the file begins 0x1F 0x8B; expected 0x00 0x00 (is it compressed?)"));
  CHECK(contains(rejection(idx(0x0A, {1}, {7})), "offset 2: type byte 0x0A; expected 0x08 (u8)"));
  CHECK(contains(rejection({0, 0, 8, 0}), "offset 3: 0 dimensions; expected 1 to 4"));
  CHECK(contains(rejection({0, 0, 8, 5, 0, 0, 0, 1}), "offset 3: 5 dimensions; expected 1 to 4"));
  CHECK(contains(rejection({0, 0, 8, 255}), "offset 3: 255 dimensions; expected 1 to 4"));
  CHECK(contains(rejection({0, 0, 8, 2, 0, 0, 0, 1}), "offset 8: the file ends after 8 bytes; expected 12 for the header"));
  CHECK(contains(rejection(idx(0x08, {3}, {1, 2})), "offset 8: the file has 10 bytes; expected 11 for [3]"));
  CHECK(contains(rejection(idx(0x08, {3}, {1, 2, 3, 4})), "offset 8: the file has 12 bytes; expected 11 for [3]"));
  CHECK(contains(rejection(idx(0x0D, {2}, {1, 2, 3, 4, 5, 6, 7})), "offset 8: the file has 15 bytes; expected 16 for [2]"));
  const std::uint32_t most = 0xFFFFFFFFu;
  CHECK(contains(rejection(idx(0x08, {most}, {1})), "the file has 9 bytes; expected 4294967303"));
  CHECK(contains(rejection(idx(0x08, {most, most, most, most}, {})), "offset 8: extent 4294967295 after 4294967295 bytes"));
  CHECK(contains(rejection(idx(0x0E, {0x80000000u, 0x80000000u}, {})), "a product below 2^63"));
}

TEST_CASE("idx: a header that promises much takes no memory") {
  const Bytes bytes = idx(0x0E, {0x7FFFFFFF, 16}, {});  // 274 GB of f64
  const MemoryPeak peak;
  CHECK_THROWS_AS(read_idx(bytes, "m"), IoError);
  CHECK(peak.bytes() < 4096);
}

TEST_CASE("idx: what is no file is an IoError") {
  CHECK(contains(text_of<IoError>([] { read_idx(std::string("/nowhere/x.idx")); }), "/nowhere/x.idx: No such file"));
  CHECK(contains(text_of<IoError>([] { read_idx(std::string("/tmp")); }), "/tmp"));
}

TEST_CASE("idx: every prefix and every flipped bit of a small file is read or refused, never more") {
  const Bytes good = idx(0x0B, {2, 3}, {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6});
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_THROWS_AS(read_idx(std::span<const unsigned char>(good).first(size), "m"), IoError);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bytes = good;
    bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ 1u << bit % 8);
    std::int64_t elements = 0;
    try {
      elements = read_idx(bytes, "m").elements();
    } catch (const IoError&) {}
    CHECK(elements <= 12);
  }
}

TEST_CASE("dataset: labels are checked and ids are given once") {
  const Dataset data = numbered(10);
  CHECK(data.labels.dtype() == DType::i64);
  CHECK(ids(data.sample_ids) == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(contains(text_of<ShapeError>([] {
                   make_dataset(Tensor::zeros({3, 2}), Tensor::zeros({2}, DType::i64), {});
                 }),
                 "there are 3 inputs and 2 labels"));
  const Tensor labels = Tensor::from({std::int64_t{0}, std::int64_t{2}});
  CHECK(contains(text_of<IndexError>([&] {
                   make_dataset(Tensor::zeros({2, 2}), labels, {"a", "b"});
                 }),
                 "labels[1] is 2: expected 0 <= label < 2"));
  CHECK(make_dataset(Tensor::zeros({2, 2}), labels, {}).classes() == 0);  // targets that are no classes
  CHECK_FALSE(make_dataset(Tensor::zeros({2, 2}), Tensor(), {}).labels);
}

TEST_CASE("dataset: rows keep their label and id through split, take and batch") {
  const Dataset data = numbered(30);
  const Split split = data.split(20, 7);
  CHECK(split.train.size() == 20);
  CHECK(split.test.size() == 10);
  std::set<std::int64_t> seen;
  for (const Dataset* part : {&split.train, &split.test})
    for (std::int64_t i = 0; i < part->size(); ++i) {
      const auto row = static_cast<std::size_t>(i);
      const std::int64_t id = part->sample_ids.values<std::int64_t>()[row];
      CHECK(part->labels.values<std::int64_t>()[row] == id % 3);
      CHECK(part->inputs.values<float>()[2 * row + 1] == static_cast<float>(2 * id + 1));
      CHECK(seen.insert(id).second);
    }
  CHECK(seen.size() == 30);
  CHECK(ids(data.split(20, 7).train.sample_ids) == ids(split.train.sample_ids));
  CHECK(ids(data.split(20, 8).train.sample_ids) != ids(split.train.sample_ids));
  CHECK(ids(data.split(12, 7).train.sample_ids) == ids(split.train.take(12).sample_ids));  // one order per seed
  CHECK(data.split(0, 1).train.size() == 0);
  CHECK(data.split(30, 1).test.size() == 0);

  const std::int64_t rows[] = {4, 4, 0};
  const Batch batch = data.batch(rows);
  CHECK(batch.inputs.to_vector<float>() == std::vector<float>{8, 9, 8, 9, 0, 1});
  CHECK(ids(batch.sample_ids) == std::vector<std::int64_t>{4, 4, 0});
  const std::int64_t wrong[] = {30};
  CHECK(contains(text_of<IndexError>([&] { data.batch(wrong); }), "rows[0] is 30: expected 0 <= row < 30"));
  CHECK_THROWS_AS(data.take(31), ValueError);
  CHECK_THROWS_AS(data.split(-1, 1), ValueError);
}

TEST_CASE("dataset: sample draws different rows, each as often as any other") {
  const Dataset data = numbered(6);
  Generator rng(11);
  std::map<std::int64_t, int> counts;
  std::map<std::vector<std::int64_t>, int> sets;
  const int draws = 6000;
  for (int i = 0; i < draws; ++i) {
    std::vector<std::int64_t> drawn = ids(data.sample(2, rng).sample_ids);
    std::sort(drawn.begin(), drawn.end());
    CHECK(drawn[0] != drawn[1]);
    for (const std::int64_t id : drawn) ++counts[id];
    ++sets[drawn];
  }
  CHECK(sets.size() == 15);
  // Chi-square of 15 equally likely pairs, 14 degrees of freedom: above 36.1 with probability 0.001.
  double chi = 0;
  for (const auto& pair : sets) chi += std::pow(pair.second - draws / 15.0, 2) / (draws / 15.0);
  CHECK(chi < 36.1);
  CHECK(ids(data.sample(6, rng).sample_ids).size() == 6);
  CHECK(data.sample(0, rng).inputs.shape() == Shape{0, 2});
  CHECK(contains(text_of<ValueError>([&] { data.sample(7, rng); }), "n is 7: expected 0 to 6"));
  Generator one(11), two(11);
  CHECK(ids(data.sample(3, one).sample_ids) == ids(data.sample(3, two).sample_ids));
}

TEST_CASE("permutation_of: fixed values, uniform over the orders of four") {
  CHECK(permutation_of(0, Key{1, 2}).empty());
  CHECK(permutation_of(1, Key{1, 2}) == std::vector<std::int64_t>{0});
  CHECK(permutation_of(10, Key{7, 0}) == permutation_of(10, Key{7, 0}));
  CHECK(permutation_of(10, Key{7, 0}) != permutation_of(10, Key{8, 0}));
  CHECK(permutation_of(10, Key{7, 0}) != permutation_of(10, Key{7, 1}));
  std::map<std::vector<std::int64_t>, int> orders;
  const int draws = 12000;
  for (int i = 0; i < draws; ++i) ++orders[permutation_of(4, fold(Key{3, 0}, static_cast<std::uint64_t>(i)))];
  CHECK(orders.size() == 24);
  double chi = 0;  // 23 degrees of freedom: above 49.7 with probability 0.001
  for (const auto& order : orders) chi += std::pow(order.second - draws / 24.0, 2) / (draws / 24.0);
  CHECK(chi < 49.7);
}

TEST_CASE("loader: an epoch deals every sample once, in an order of its own") {
  Loader loader(numbered(10), {.batch_size = 3, .drop_last = false}, 5);
  CHECK(loader.batches_per_epoch() == 4);
  std::vector<std::vector<std::int64_t>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int64_t> order;
    for (int b = 0; b < 4; ++b) {
      CHECK(loader.epoch() == epoch);
      const Batch batch = loader.next();
      CHECK(batch.inputs.size(0) == (b < 3 ? 3 : 1));
      for (const std::int64_t id : ids(batch.sample_ids)) order.push_back(id);
    }
    std::vector<std::int64_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == ids(numbered(10).sample_ids));
    epochs.push_back(order);
  }
  CHECK(epochs[0] != epochs[1]);
  CHECK(epochs[1] != epochs[2]);
  Loader other(numbered(10), {.batch_size = 10}, 6);
  CHECK(ids(other.next().sample_ids) != epochs[0]);
}

TEST_CASE("loader: drop_last leaves out the rest, shuffle off keeps the order") {
  Loader loader(numbered(10), {.batch_size = 4, .shuffle = false}, 5);
  CHECK(loader.batches_per_epoch() == 2);
  CHECK(ids(loader.next().sample_ids) == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(ids(loader.next().sample_ids) == std::vector<std::int64_t>{4, 5, 6, 7});
  CHECK(ids(loader.next().sample_ids) == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(contains(text_of<ValueError>([] { Loader(numbered(10), {.batch_size = 11}, 1); }), "an epoch of 10 samples has no batch of 11"));
  CHECK_THROWS_AS(Loader(numbered(10), {.batch_size = 0}, 1), ValueError);
  CHECK_NOTHROW(Loader(numbered(10), {.batch_size = 11, .drop_last = false}, 1));
}

TEST_CASE("loader: a position, or a checkpoint, is all it takes to go on") {
  const auto make = [] { return Loader(numbered(10), {.batch_size = 3}, 9); };
  Loader whole = make();
  std::vector<std::vector<std::int64_t>> batches;
  for (int i = 0; i < 8; ++i) batches.push_back(ids(whole.next().sample_ids));
  for (int stop = 0; stop < 8; ++stop) {
    Loader first = make(), second = make();
    for (int i = 0; i < stop; ++i) first.next();
    Checkpoint saved, restored;
    first.add_to(saved, "loader");
    second.add_to(restored, "loader");
    restored.load(saved.to_file(), "memory");
    CHECK(second.position() == first.position());
    for (int i = stop; i < 8; ++i) CHECK(ids(second.next().sample_ids) == batches[static_cast<std::size_t>(i)]);
  }
  Loader loader = make();
  CHECK_THROWS_AS(loader.seek({0, 3}), ValueError);
  CHECK_THROWS_AS(loader.seek({-1, 0}), ValueError);
  loader.seek({2, 1});
  CHECK(ids(loader.next().sample_ids) == batches[7]);
}

namespace {

enum class Colour { red, green };
struct PaintConfig {
  double width = 0.5;
  std::int64_t coats = 2;
  int brushes = 3;
  bool glossy = false;
  std::string name = "wall";
  Colour colour = Colour::red;
  void visit(FieldVisitor& v) {
    v.field("width", width, "metres");
    v.field("coats", coats, "layers", "3");
    v.field("brushes", brushes, "tools");
    v.field("glossy", glossy, "shine");
    v.field("name", name, "of the thing");
    v.choice("colour", colour, {"red", "green"}, "of the paint");
  }
};

}  // namespace

TEST_CASE("config: set_field sets one field of any kind") {
  PaintConfig c;
  for (const char* assignment : {"width=-2.5e-3", "coats=-7", "brushes=9", "glossy=true", "name=a=b", "colour=green"})
    set_field(c, assignment);
  CHECK(c.width == -2.5e-3);
  CHECK(c.coats == -7);
  CHECK(c.brushes == 9);
  CHECK(c.glossy);
  CHECK(c.name == "a=b");
  CHECK(c.colour == Colour::green);
  set_field(c, "name=");
  CHECK(c.name.empty());
}

TEST_CASE("config: a wrong field or value is a ValueError and changes nothing") {
  PaintConfig c;
  const std::pair<const char*, const char*> cases[] = {
      {"widht=1", "there is no field 'widht'; there are width, "},
      {"coat=1", "there is no field 'coat'; there are coats, "},
      {"width", "'width' is not of the form field=value"},
      {"=1", "is not of the form field=value"},
      {"width=", "width takes a number; got ''"},
      {"width=1,5", "width takes a number; got '1,5'"},
      {"width=1 ", "width takes a number; got '1 '"},
      {"width=nan", "width takes a number; got 'nan'"},
      {"coats=2.0", "coats takes a whole number; got '2.0'"},
      {"coats=99999999999999999999", "coats takes a whole number"},
      {"brushes=3000000000", "brushes takes a whole number of 32 bits"},
      {"glossy=yes", "glossy takes true or false; got 'yes'"},
      {"colour=gren", "colour takes one of green, red; got 'gren'"},
  };
  for (const auto& [assignment, expected] : cases) {
    const std::string text = text_of<ValueError>([&, a = assignment] { set_field(c, a); });
    CAPTURE(text);
    CHECK(contains(text, expected));
  }
  CHECK(c.width == 0.5);
  CHECK(c.coats == 2);
  CHECK(c.brushes == 3);
  CHECK_FALSE(c.glossy);
  CHECK(c.colour == Colour::red);
}

TEST_CASE("config: numbers are read alike in every locale") {
  PaintConfig c;
  const char* before = std::setlocale(LC_ALL, nullptr);
  const std::string kept = before ? before : "C";
  for (const char* locale : {"de_DE.UTF-8", "fr_FR.UTF-8", "C"}) {
    std::setlocale(LC_ALL, locale);
    set_field(c, "width=1.25");
    CHECK(c.width == 1.25);
  }
  std::setlocale(LC_ALL, kept.c_str());
}
