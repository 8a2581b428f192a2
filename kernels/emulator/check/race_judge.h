// How an earlier access of a word stands to the running one, and the finding if the two are at odds: what races.cpp asks where its quick
// looks do not decide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <gradus/kernels/emulator/exec/access.h>

namespace gradus::emulator {

/// How an earlier interval stands to the running warp.
enum class Order : std::uint8_t {
  before,      // ordered, or gone
  same_epoch,  // the same warp, no synchronisation of its lanes since
  block,       // another warp of the block, not ordered
  grid         // another block, not ordered
};

/// A 4-byte word that a lane touches, and which of its bytes.
struct TouchedWord {
  std::size_t index;
  std::uint32_t mask;
  int lane;
};

class RaceJudge {
 public:
  RaceJudge(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space)
      : warp_(warp),
        d_(d),
        access_(access_of(d)),
        lanes_(lanes),
        space_(space),
        mine_(interval_of(warp)),
        first_(space == ptx::Space::shared ? shadow_of(*warp.block).first_interval : launch_state().first_interval) {}

 protected:
  Order order_of(std::uint32_t interval);
  /// `directly`: see acquired_covers.
  Order find_order(std::uint32_t interval, bool directly) const;
  bool conflicts(Touch earlier, TouchedWord w, bool both_write);
  void tell(Touch earlier, TouchedWord w, Order order, bool earlier_wrote);

  Warp& warp_;
  const Decoded& d_;
  const Access& access_;
  const Lanes& lanes_;
  ptx::Space space_;
  std::uint32_t mine_, first_;  // the running interval; the first that counts

 private:
  bool lane_differs(Touch earlier, TouchedWord w) const;
  bool stores_what_is_there(TouchedWord w) const;
  bool follows_tile_status(Touch earlier) const;
  std::string name_of_other(Touch earlier, TouchedWord w, Order order) const;

  std::uint32_t memo_ = 0;  // the interval asked for last, and its order
  Order memo_order_ = Order::before;
};

}  // namespace gradus::emulator
