#include <gradus/kernels/emulator/runtime/copy.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/copy_hash.h>
#include <gradus/kernels/emulator/runtime/graph.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>

namespace gradus::emulator::runtime {
namespace {

constexpr std::size_t kMostRows = 4096;  // beyond that, one range stands for all rows in the order check
// Undefined bytes that a copy to the host may carry without a finding: the padding of structures.
constexpr std::uint64_t kPadding = 16;

std::byte* bytes_of(std::uint64_t address) {
  return where_is(reinterpret_cast<const void*>(address)) == Where::pageable ? reinterpret_cast<std::byte*>(address)
                                                                             : DeviceMemory::instance().at(address);
}

/// From the first byte of a side to its last.
std::uint64_t span_of(const Side& side, const Box& box) {
  if (box.bytes() == 0) return 0;
  return (box.depth - 1) * side.slice + (box.height - 1) * side.pitch + box.width;
}

template <class F> void for_each_row(const Box& box, F&& f) {
  for (std::size_t z = 0; z < box.depth; ++z) {
    for (std::size_t y = 0; y < box.height; ++y) f(z, y);
  }
}

std::uint64_t row_of(const Side& side, std::size_t z, std::size_t y) { return side.address + z * side.slice + y * side.pitch; }

void add_accesses(const Side& side, const Box& box, bool write, std::vector<Access>& out) {
  if (where_is(reinterpret_cast<const void*>(side.address)) == Where::pageable || box.bytes() == 0) return;
  const std::uint64_t span = span_of(side, box);
  if (span == box.bytes() || box.height * box.depth > kMostRows) {
    out.push_back({side.address, span, write});
  } else {
    for_each_row(box, [&](std::size_t z, std::size_t y) { out.push_back({row_of(side, z, y), box.width, write}); });
  }
}

/// What the vendor's runtime refuses, often unnoticed because nobody looks at what a copy returns.
cudaError_t refuse(Kind kind, const std::string& text) {
  report_call(kind, text);
  return cudaErrorInvalidValue;
}

/// Does the kind of copy fit what its pointers are? cudaMemcpyDefault always does.
cudaError_t check_kind(const CopyRequest& request, Where to, Where from) {
  constexpr const char* kNames[] = {"HostToHost", "HostToDevice", "DeviceToHost", "DeviceToDevice"};
  if (request.kind == cudaMemcpyDefault) return cudaSuccess;
  const bool to_device = request.kind == cudaMemcpyHostToDevice || request.kind == cudaMemcpyDeviceToDevice;
  const bool from_device = request.kind == cudaMemcpyDeviceToHost || request.kind == cudaMemcpyDeviceToDevice;
  const bool to_fits = to != (to_device ? Where::pageable : Where::device);
  const bool from_fits = from != (from_device ? Where::pageable : Where::device);
  if (to_fits && from_fits) return cudaSuccess;
  const std::string wrong_to = std::string("the destination is ") + (to_device ? "host memory" : "device memory");
  const std::string wrong_from = std::string("the source is ") + (from_device ? "host memory" : "device memory");
  return refuse(Kind::host_access, std::string(request.call) + " with cudaMemcpy" + kNames[request.kind] + ", but " +
                                       (to_fits     ? wrong_from
                                        : from_fits ? wrong_to
                                                    : wrong_to + " and " + wrong_from));
}

cudaError_t check_side(const Side& side, const Box& box, const char* call) {
  if (where_is(reinterpret_cast<const void*>(side.address)) == Where::pageable) return cudaSuccess;
  const std::optional<Finding> fault = DeviceMemory::instance().fault_of_range(side.address, span_of(side, box), call);
  return fault ? refuse(fault->kind, fault->text) : cudaSuccess;
}

/// Device address pages that hold no allocation: freed memory, or a pointer gone astray.
bool is_stray(std::uint64_t address) {
  const Allocation* allocation = DeviceMemory::instance().find(address);
  return (allocation == nullptr || allocation->freed) && DeviceMemory::instance().is_device_page(address);
}

cudaError_t check_copy(const CopyRequest& request) {
  if (request.kind < cudaMemcpyHostToHost || request.kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (request.box.bytes() == 0) return cudaSuccess;
  if (request.to.address == 0 || request.from.address == 0)
    return refuse(Kind::out_of_bounds, std::string(request.call) + " of " + std::to_string(request.box.bytes()) + " bytes: the " +
                                           (request.to.address == 0 ? "destination" : "source") + " is a null pointer");
  if (request.box.height > 1 && (request.box.width > request.to.pitch || request.box.width > request.from.pitch))
    return cudaErrorInvalidPitchValue;
  const Where to = where_is(reinterpret_cast<const void*>(request.to.address)),
              from = where_is(reinterpret_cast<const void*>(request.from.address));
  if (const cudaError_t error = check_kind(request, to, from)) return error;
  if (const cudaError_t error = check_side(request.to, request.box, request.call)) return error;
  return check_side(request.from, request.box, request.call);
}

void report_undefined(const Operation& operation, std::uint64_t address, std::uint64_t bytes, std::uint64_t first) {
  report_call(Kind::uninitialised, operation.site,
              operation.name + " copies " + std::to_string(bytes) + " bytes to the host of which byte +" + std::to_string(first) +
                  " was never written: " + DeviceMemory::instance().describe(address + first));
}

/// True if at least kPadding bytes in a row are undefined; `first` is where.
bool lacks_definition(std::uint64_t address, std::uint64_t bytes, std::uint64_t* first) {
  auto& memory = DeviceMemory::instance();
  for (std::uint64_t at = memory.first_undefined(address, bytes); at < bytes;) {
    std::uint64_t end = at;
    while (end < bytes && end - at < kPadding && memory.first_undefined(address + end, 1) == 0) ++end;
    if (end - at >= kPadding) {
      *first = at;
      return true;
    }
    at = end + memory.first_undefined(address + end, bytes - end);
  }
  return false;
}

/// Memory that was there when the copy was asked for may be gone when its turn comes: freed in stream order before it.
bool is_still_there(const Side& side, const Box& box, const Operation& self) {
  if (where_is(reinterpret_cast<const void*>(side.address)) == Where::pageable) return true;
  const std::optional<Finding> fault = DeviceMemory::instance().fault_of_range(side.address, span_of(side, box), self.name.c_str());
  if (fault) report_call(fault->kind, self.site, fault->text);
  return !fault;
}

int run_copy(const CopyRequest& request, const std::byte* staged, Operation& self) {
  auto& memory = DeviceMemory::instance();
  if (!is_still_there(request.to, request.box, self) || (staged == nullptr && !is_still_there(request.from, request.box, self))) return 0;
  const bool to_tracked = where_is(reinterpret_cast<const void*>(request.to.address)) != Where::pageable;
  const bool from_tracked = staged == nullptr && where_is(reinterpret_cast<const void*>(request.from.address)) != Where::pageable;
  const bool to_host = from_tracked && where_is(reinterpret_cast<const void*>(request.to.address)) != Where::device;
  bool told = options().checks != Checks::all;
  for_each_row(request.box, [&](std::size_t z, std::size_t y) {
    const std::uint64_t to = row_of(request.to, z, y), from = row_of(request.from, z, y), width = request.box.width;
    const std::byte* source = staged != nullptr ? staged + (z * request.box.height + y) * width : bytes_of(from);
    std::memmove(bytes_of(to), source, width);
    if (to_host) hash_copy_to_host(bytes_of(to), width);
    std::uint64_t first = 0;
    if (from_tracked && to_tracked) {
      memory.copy_definedness(to, from, width);
    } else if (to_tracked) {
      memory.define(to, width);
    } else if (from_tracked && !told && lacks_definition(from, width, &first)) {
      report_undefined(self, from, width, first);
      told = true;
    }
  });
  return 0;
}

std::shared_ptr<std::vector<std::byte>> staged_source(const CopyRequest& request) {
  auto staged = std::make_shared<std::vector<std::byte>>(request.box.bytes());
  for_each_row(request.box, [&](std::size_t z, std::size_t y) {
    std::memcpy(staged->data() + (z * request.box.height + y) * request.box.width, bytes_of(row_of(request.from, z, y)), request.box.width);
  });
  return staged;
}

}  // namespace

Where where_is(const void* address) {
  const auto at = reinterpret_cast<std::uint64_t>(address);
  const Allocation* allocation = DeviceMemory::instance().find(at);
  if (allocation != nullptr && !allocation->freed) {
    if (allocation->kind == AllocationKind::managed) return Where::managed;
    return allocation->kind == AllocationKind::pinned ? Where::pinned : Where::device;
  }
  return is_stray(at) ? Where::device : Where::pageable;
}

Operation copy_operation(const CopyRequest& request, cudaError_t* error) {
  Operation operation;
  *error = check_copy(request);
  if (*error != cudaSuccess) return operation;
  operation.name = request.call;
  operation.site = CallSite::here();
  add_accesses(request.to, request.box, true, operation.accesses);
  add_accesses(request.from, request.box, false, operation.accesses);
  operation.work = [request](Operation& self) { return run_copy(request, nullptr, self); };
  return operation;
}

cudaError_t copy(const CopyRequest& request) {
  if (request.stream == nullptr) return cudaErrorInvalidResourceHandle;
  cudaError_t error = cudaSuccess;
  Operation operation = copy_operation(request, &error);
  if (error != cudaSuccess || request.box.bytes() == 0) return error;
  const Where to = where_is(reinterpret_cast<const void*>(request.to.address)),
              from = where_is(reinterpret_cast<const void*>(request.from.address));
  if (request.stream->capture) return enqueue(*request.stream, std::move(operation), cudaGraphNodeTypeMemcpy);
  const bool on_device = to == Where::device && from == Where::device;
  if (request.async ? to == Where::pageable : !on_device) return enqueue_and_wait(*request.stream, std::move(operation));
  if (from == Where::pageable) {  // read at once into the driver's own buffer
    operation.work = [request, staged = staged_source(request)](Operation& self) { return run_copy(request, staged->data(), self); };
  }
  return enqueue(*request.stream, std::move(operation), cudaGraphNodeTypeMemcpy);
}

Operation fill_operation(const FillRequest& request, cudaError_t* error) {
  Operation operation;
  *error = cudaSuccess;
  if (request.box.bytes() == 0) return operation;
  if (where_is(reinterpret_cast<const void*>(request.to.address)) == Where::pageable)
    *error = refuse(Kind::host_access,
                    std::string(request.call) + " of " + std::to_string(request.box.bytes()) + " bytes: the destination is host memory");
  if (*error == cudaSuccess) *error = check_side(request.to, request.box, request.call);
  if (*error != cudaSuccess) return operation;
  operation.name = request.call;
  operation.site = CallSite::here();
  add_accesses(request.to, request.box, true, operation.accesses);
  operation.work = [request](Operation&) {
    for_each_row(request.box, [&](std::size_t z, std::size_t y) {
      const std::uint64_t row = row_of(request.to, z, y);
      std::byte* const bytes = bytes_of(row);
      if (request.element == 1) std::memset(bytes, request.value, request.box.width);
      for (std::size_t i = 0; request.element > 1 && i + request.element <= request.box.width; i += request.element) {
        std::memcpy(bytes + i, &request.value, request.element);  // little endian: the low bytes
      }
      DeviceMemory::instance().define(row, request.box.width);
    });
    return 0;
  };
  return operation;
}

cudaError_t fill(const FillRequest& request, Stream* stream, bool async) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  cudaError_t error = cudaSuccess;
  Operation operation = fill_operation(request, &error);
  if (error != cudaSuccess || request.box.bytes() == 0) return error;
  const bool waits = !async && where_is(reinterpret_cast<const void*>(request.to.address)) != Where::device;
  return waits ? enqueue_and_wait(*stream, std::move(operation)) : enqueue(*stream, std::move(operation), cudaGraphNodeTypeMemset);
}

}  // namespace gradus::emulator::runtime
