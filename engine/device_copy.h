// Bytes from one device to another, in the order of this thread's stream.
#pragma once

#include <cstddef>

#include <gradus/kernels/array.h>

namespace gradus::inline v0::detail {

/// Host to host at once; to the host: waits; otherwise queued. The ranges must not overlap on a device.
void copy_bytes(void* destination, Device to, const void* source, Device from, std::size_t bytes);

}  // namespace gradus::inline v0::detail
