// Random kernels on the CPU: rows and stretches, the f64 draws (scalar: they serve gradient checks), permutations.
#include <cmath>
#include <cstring>

#include <gradus/kernels/cpu/random_table.h>
#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu {
namespace {

constexpr std::int64_t kStretch = 1 << 14;  // elements of one task: about 10 us of uniforms, 30 us of normals

struct Rows {
  std::int64_t count, length;  // of the array; a row is `length` elements
  const std::int64_t* ids;     // null: the position is the id
};

Rows rows_of(const Shape& shape, ConstArray row_ids) {
  if (!row_ids && shape.rank() < 2) return {1, shape.elements(), nullptr};
  const std::int64_t count = shape[0];
  GRADUS_ASSERT(!row_ids || row_ids.elements() == count);
  return {count, shape.product(1, shape.rank()), row_ids ? row_ids.as<std::int64_t>() : nullptr};
}

/// f(stretch, offset of its first element in the array), over the whole array.
template <class F> void for_each_stretch(Key key, const Shape& shape, ConstArray row_ids, const F& f) {
  const Rows rows = rows_of(shape, row_ids);
  GRADUS_ASSERT(rows.length <= std::int64_t{4} << 32);  // the counter's first word counts blocks of 4
  if (shape.elements() == 0) return;
  const std::int64_t per_row = (rows.length + kStretch - 1) / kStretch, stretches = rows.count * per_row;
  const std::int64_t per_task = rows.length >= kStretch ? 1 : kStretch / rows.length;
  parallel_for((stretches + per_task - 1) / per_task, [&](std::int64_t task) {
    for (std::int64_t i = task * per_task; i < (task + 1) * per_task && i < stretches; ++i) {
      const std::int64_t row = i / per_row, begin = i % per_row * kStretch, left = rows.length - begin;
      f(Stretch{key, rows.ids ? rows.ids[row] : row, begin, left < kStretch ? left : kStretch}, row * rows.length + begin);
    }
  });
}

/// y[i] = f(the four 64-bit words of the block)[i], block by block.
template <class F> void draw_f64(double* y, const Stretch& s, const F& f) {
  const Key low_key = {s.key.seed, s.key.stream ^ 0x80000000u};
  for (std::int64_t i = 0; i < s.count; i += 4) {
    const auto quad = static_cast<std::uint32_t>((s.begin + i) / 4);
    const PhiloxBlock high = philox_block(s.key, quad, s.row_id), low = philox_block(low_key, quad, s.row_id);
    std::uint64_t words[4];
    for (int k = 0; k < 4; ++k) words[k] = std::uint64_t{high.word[k]} << 32 | low.word[k];
    double group[4];
    f(group, words);
    for (int k = 0; k < 4 && i + k < s.count; ++k) y[i + k] = group[k];
  }
}

template <class T> UniformRange<T> range_of(double low, double high) {
  const T first = static_cast<T>(low), end = static_cast<T>(high);
  return {first, end - first, first < end ? std::nextafter(end, first) : first};
}

/// word < p 2^32 as word <= last; p > 0.
std::uint32_t last_word_of(double p) {
  const double words = std::nearbyint(p * 0x1p32);
  return words >= 0x1p32 ? 0xFFFFFFFFu : static_cast<std::uint32_t>(words) - 1;
}
/// Whether last_word_of(p) would be below every word.
bool is_never(double p) { return std::nearbyint(p * 0x1p32) < 1; }

}  // namespace

void uniform(Array y, Key key, ConstArray row_ids, double low, double high) {
  for_each_stretch(key, *y.shape, row_ids, [&](const Stretch& s, std::int64_t offset) {
    if (y.dtype == DType::f32) return random_table().uniform(y.as<float>() + offset, s, range_of<float>(low, high));
    draw_f64(y.as<double>() + offset, s, [range = range_of<double>(low, high)](double* u, const std::uint64_t* w) {
      for (int k = 0; k < 4; ++k) u[k] = uniform_of<ScalarLanes64>(w[k], range);
    });
  });
}

void normal(Array y, Key key, ConstArray row_ids, double mean, double stddev) {
  for_each_stretch(key, *y.shape, row_ids, [&](const Stretch& s, std::int64_t offset) {
    if (y.dtype == DType::f32)
      return random_table().normal(y.as<float>() + offset, s, static_cast<float>(mean), static_cast<float>(stddev));
    draw_f64(y.as<double>() + offset, s, [=](double* z, const std::uint64_t* w) {
      box_muller<ScalarLanes64>(w[0], w[1], z, z + 1);
      box_muller<ScalarLanes64>(w[2], w[3], z + 2, z + 3);
      for (int k = 0; k < 4; ++k) z[k] = multiply_add(z[k], stddev, mean);
    });
  });
}

void bernoulli(Array y, Key key, ConstArray row_ids, double p) {
  bool* const out = y.as<bool>();
  if (is_never(p)) {
    std::memset(out, 0, static_cast<std::size_t>(y.elements()));
    return;
  }
  for_each_stretch(key, *y.shape, row_ids,
                   [&](const Stretch& s, std::int64_t offset) { random_table().bernoulli(out + offset, s, last_word_of(p)); });
}

void dropout(Array y, ConstArray x, Key key, ConstArray row_ids, double p) {
  // With nothing kept the scale is 0 and the mask does not matter.
  const bool never = is_never(1 - p);
  const double scale = never ? 0 : 1 / (1 - p);
  const std::uint32_t last = never ? 0 : last_word_of(1 - p);
  for_each_stretch(key, *y.shape, row_ids, [&](const Stretch& s, std::int64_t offset) {
    if (y.dtype == DType::f32)
      return random_table().dropout_f32(y.as<float>() + offset, x.as<float>() + offset, s, last, static_cast<float>(scale));
    random_table().dropout_f64(y.as<double>() + offset, x.as<double>() + offset, s, last, scale);
  });
}

namespace {

constexpr int kDigitBits = 11, kDigits = 3;  // 33 bits: a word in three passes, counts that stay in the first-level cache
constexpr int kBuckets = 1 << kDigitBits;

int digit_of(std::uint64_t pair, int digit) { return static_cast<int>(pair >> (32 + digit * kDigitBits) & (kBuckets - 1)); }

/// One pass of a least-significant-digit radix sort: stable.
void sort_by_digit(std::uint64_t* to, const std::uint64_t* from, std::int64_t n, int digit) {
  std::uint64_t next[kBuckets] = {};
  for (std::int64_t i = 0; i < n; ++i) ++next[digit_of(from[i], digit)];
  std::uint64_t total = 0;
  for (std::uint64_t& bucket : next) {
    const std::uint64_t count = bucket;
    bucket = total;
    total += count;
  }
  for (std::int64_t i = 0; i < n; ++i) to[next[digit_of(from[i], digit)]++] = from[i];
}

}  // namespace

std::size_t permutation_workspace_bytes(std::int64_t n) { return 2 * static_cast<std::size_t>(n) * sizeof(std::uint64_t); }

void permutation(Array index, Key key, Workspace workspace) {
  const std::int64_t n = index.elements();
  GRADUS_ASSERT(n <= std::int64_t{1} << 32 && workspace.bytes >= permutation_workspace_bytes(n));
  auto* a = static_cast<std::uint64_t*>(workspace.data);  // word in the high half, position in the low
  std::uint64_t* b = a + n;
  for (std::int64_t i = 0; i < n; i += 4) {
    const PhiloxBlock block = philox_block(key, static_cast<std::uint32_t>(i / 4), 0);
    for (int k = 0; k < 4 && i + k < n; ++k) a[i + k] = std::uint64_t{block.word[k]} << 32 | static_cast<std::uint64_t>(i + k);
  }
  for (int digit = 0; digit < kDigits; ++digit) {
    sort_by_digit(b, a, n, digit);
    std::uint64_t* const sorted = b;
    b = a;
    a = sorted;
  }
  std::int64_t* const out = index.as<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<std::int64_t>(a[i] & 0xFFFFFFFFu);
}

}  // namespace gradus::inline v0::cpu
