#include <gradus/kernels/emulator/exec/frame_layout.h>

#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

int lane_bytes(ptx::Type type) { return type == ptx::Type::pred ? 0 : ptx::bytes_of(type); }

FrameLayout lay_out_frame(const ptx::Function& function) {
  FrameLayout layout;
  layout.offsets.reserve(function.registers.size());
  for (const ptx::Register& r : function.registers) {
    const auto bytes = static_cast<std::uint32_t>(lane_bytes(r.type)) * kLanes;
    const std::uint32_t align = bytes == 0 ? 4 : 32;
    layout.bytes = (layout.bytes + align - 1) / align * align;
    layout.offsets.push_back(layout.bytes);
    layout.bytes += bytes == 0 ? static_cast<std::uint32_t>(sizeof(Mask)) : bytes;
  }
  return layout;
}

}  // namespace gradus::emulator
