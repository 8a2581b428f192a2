// What the rest of the library needs of a CUDA device, without a CUDA header: memory, the thread's stream, copies, faults. Present when the
// backend is built (GRADUS_CUDA = ON or EMULATED).
//
// Every thread works on one stream of its own, on the device that was current when it first used it. Kernels and copies are queued there;
// the functions that wait say so, and each wait of the host is counted.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gradus/kernels/array.h>

namespace gradus::inline v0::cuda {

/// Devices that can be used now: 0 without a driver. Never throws.
int device_count() noexcept;
/// Throws DeviceError, naming `op` and the reason, if there is none.
void require_device(const char* op);

/// Device memory, 256-byte aligned; null when there is none left (the error is cleared: the device stays usable). system_free waits for
/// the device, as cudaFree does.
void* system_allocate(std::size_t bytes);
void system_free(void* block) noexcept;

/// This thread's stream (a cudaStream_t).
void* stream();

/// Queues copies on this thread's stream. copy_from_host stages through pinned memory, so `source` may be reused on return; it waits only
/// when the staging ring is full of copies that the device has not made yet. copy_to_host waits.
void copy_from_host(void* destination, const void* source, std::size_t bytes);
void copy_to_host(void* destination, const void* source, std::size_t bytes);
void copy_within(void* destination, const void* source, std::size_t bytes);
void fill_bytes(void* destination, int byte, std::size_t bytes);

/// Waits for this thread's stream; throws CudaError for what failed on it, IndexError for a fault that a kernel noted.
void synchronize(const char* op);
/// Times that this thread has waited for its device.
std::int64_t host_synchronizations();

/// After each launch: throws CudaError with the runtime's words, naming `op`. A configuration error leaves the device usable; after an
/// error that the driver keeps, every call throws CudaError naming the first one. With GRADUS_CUDA_SYNC=1 in the environment it waits for
/// the kernel too, so that a fault names its op.
void check_launch(const char* op);

/// What a kernel found wrong with its data (an index or label out of range): the first one is kept and thrown by the next synchronize().
struct Fault {
  unsigned long long claimed = 0;  // 0: none yet
  int op = 0;                      // index into the names that note_op() gave
  long long position = 0, value = 0, bound = 0;
};
/// The device's copy, for kernels.
Fault* device_fault();
/// A small number for `op`, which must be a string literal; the fault's text names it.
int note_op(const char* op);

}  // namespace gradus::inline v0::cuda
