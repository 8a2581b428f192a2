#include <gradus/kernels/emulator/cublas/vendor_call.h>

#include <algorithm>
#include <cstdio>

namespace gradus::emulator::vendor {

void complain(const char* call, const char* argument, const std::string& why) {
  std::fprintf(stderr, "gradus emulator: %s: argument `%s` %s\n", call, argument, why.c_str());
}

std::uint64_t Matrices::bytes() const {
  return static_cast<std::uint64_t>(element * rows * columns * (stride == 0 && batch > 0 ? 1 : batch));
}
std::uint64_t Matrices::span() const {
  if (rows <= 0 || columns <= 0 || batch <= 0) return 0;
  return static_cast<std::uint64_t>(element * ((batch - 1) * stride + (columns - 1) * ld + rows));
}

void Matrices::add_to(std::vector<Range>& ranges) const {
  if (span() == 0) return;
  const auto* const at = static_cast<const char*>(data);
  if ((rows == ld || columns == 1) && (batch == 1 || stride == rows * columns)) return ranges.push_back({at, span(), name});
  const std::int64_t items = stride == 0 ? 1 : batch;
  for (std::int64_t item = 0; item < items; ++item)
    for (std::int64_t column = 0; column < columns; ++column)
      ranges.push_back({at + element * (item * stride + column * ld), static_cast<std::uint64_t>(element * rows), name});
}

namespace {

bool any_overlap(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& x, const Range& y) { return x.address < y.address; });
  for (std::size_t i = 1; i < ranges.size(); ++i)
    if (static_cast<const char*>(ranges[i - 1].address) + ranges[i - 1].bytes > ranges[i].address) return true;
  return false;
}

}  // namespace

bool overlap(const Matrices& a, const Matrices& b) {
  const auto first = reinterpret_cast<std::uintptr_t>(a.data), second = reinterpret_cast<std::uintptr_t>(b.data);
  if (a.span() == 0 || b.span() == 0 || first >= second + b.span() || second >= first + a.span()) return false;
  std::vector<Range> ranges, of_b;
  a.add_to(ranges), b.add_to(of_b);
  // An operand may repeat itself; only a meeting of the two counts.
  for (const Range& x : ranges)
    for (const Range& y : of_b) {
      const auto *const x0 = static_cast<const char*>(x.address), *const y0 = static_cast<const char*>(y.address);
      if (x0 < y0 + y.bytes && y0 < x0 + x.bytes) return true;
    }
  return false;
}

bool overlaps_itself(const Matrices& a) {
  if (a.batch <= 1 || a.span() == 0) return false;
  if (a.stride == 0) return true;
  std::vector<Range> ranges;
  a.add_to(ranges);
  return any_overlap(ranges);
}

Counters counts_of(std::uint64_t flops, std::uint64_t bytes) {
  Counters counts;
  counts.launches = 1;
  counts.flops = flops;
  counts.bytes_requested = counts.bytes_touched = counts.bytes_compulsory = bytes;
  return counts;
}

}  // namespace gradus::emulator::vendor
