// What the imitated device remembers besides memory and streams: its sticky error, flags, limits.
#pragma once

#include <cstddef>
#include <string>

namespace gradus::emulator::runtime {

struct DeviceState {
  static DeviceState& instance();
  int sticky = 0;  // the first error of a kernel: every later call returns it
  std::string sticky_text;
  unsigned flags = 0;
  std::size_t stack_size = 1024, printf_fifo = 1 << 20, malloc_heap = 8 << 20;
  bool module_failed = false;  // some module could not be loaded: the process ends with 1
  void fail(int error) {
    if (sticky == 0) sticky = error;
  }
  void reset();
};

}  // namespace gradus::emulator::runtime
