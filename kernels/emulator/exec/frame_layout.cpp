#include <gradus/kernels/emulator/exec/frame_layout.h>

#include <algorithm>
#include <array>
#include <queue>

#include <gradus/kernels/emulator/exec/liveness.h>
#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {
namespace {

/// Places of one width, handed to registers one after another.
class Places {
 public:
  explicit Places(std::uint32_t bytes) : bytes_(bytes) {}

  /// A place that is free from `range.first` on; asked for in the order of that. A result never gets an operand's place: handlers write
  /// lanes before they have read all.
  std::uint32_t take(LiveRange range) {
    while (!busy_.empty() && busy_.top().first < range.first) {
      free_.push(busy_.top().second);
      busy_.pop();
    }
    std::uint32_t place = count_;
    if (free_.empty()) {
      ++count_;
    } else {
      place = free_.top();
      free_.pop();
    }
    busy_.emplace(range.last, place);
    return place;
  }
  std::uint32_t bytes() const { return bytes_; }
  std::uint32_t count() const { return count_; }

 private:
  using Until = std::pair<std::uint32_t, std::uint32_t>;  // last instruction, place
  std::uint32_t bytes_, count_ = 0;
  std::priority_queue<Until, std::vector<Until>, std::greater<>> busy_;
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free_;
};

constexpr std::array<int, 6> kWidths = {0, 1, 2, 4, 8, 16};  // of a lane; 0: a predicate

std::size_t class_of(ptx::Type type) {
  return static_cast<std::size_t>(std::find(kWidths.begin(), kWidths.end(), lane_bytes(type)) - kWidths.begin());
}

}  // namespace

int lane_bytes(ptx::Type type) { return type == ptx::Type::pred ? 0 : ptx::bytes_of(type); }

FrameLayout lay_out_frame(const ptx::Function& function) {
  const std::vector<LiveRange> ranges = live_ranges(function);
  std::vector<std::uint32_t> order;
  for (std::uint32_t r = 0; r < ranges.size(); ++r) {
    if (!ranges[r].is_empty()) order.push_back(r);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return ranges[a].first < ranges[b].first; });
  // Registers of different widths never share: lane l of one would lie on other lanes of the other, and those may be elsewhere.
  std::vector<Places> classes;
  for (const int width : kWidths) classes.emplace_back(width == 0 ? sizeof(Mask) : static_cast<std::uint32_t>(width) * kLanes);
  std::vector<std::uint32_t> place(ranges.size(), 0);
  for (const std::uint32_t r : order) place[r] = classes[class_of(function.registers[r].type)].take(ranges[r]);

  FrameLayout layout;
  std::vector<std::uint32_t> start;
  for (const Places& places : classes) {
    start.push_back(layout.bytes);
    layout.bytes = (layout.bytes + places.count() * places.bytes() + 31) / 32 * 32;
  }
  layout.offsets.resize(ranges.size(), 0);
  for (const std::uint32_t r : order) {
    const std::size_t c = class_of(function.registers[r].type);
    layout.offsets[r] = start[c] + place[r] * classes[c].bytes();
  }
  return layout;
}

}  // namespace gradus::emulator
