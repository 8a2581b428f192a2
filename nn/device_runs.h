// Lists whose neighbours are mostly on one device, taken apart where that changes: what the kernels that take lists need.
#pragma once

#include <cstddef>

#include <gradus/kernels/array.h>

namespace gradus::inline v0::detail {

/// Calls f(device, first, count) for every longest run of elements on one device, in order; device_of(i) is element i's.
template <class DeviceOf, class F> void for_each_device_run(std::size_t count, const DeviceOf& device_of, const F& f) {
  for (std::size_t first = 0, last; first < count; first = last) {
    const Device device = device_of(first);
    last = first + 1;
    while (last < count && device_of(last) == device) ++last;
    f(device, first, last - first);
  }
}

}  // namespace gradus::inline v0::detail
