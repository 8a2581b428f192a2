// Entry points: copies and fills.
#include <string>

#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/copy.h>
#include <gradus/kernels/emulator/runtime/copy_parameters.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>
#include <gradus/kernels/emulator/runtime/registry.h>

using gradus::emulator::Kind;
using namespace gradus::emulator::runtime;

namespace {

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

cudaError_t copy_line(const char* call, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream,
                      bool async) {
  return api(call, [&] {
    return copy({call, {address_of(to), bytes, bytes}, {address_of(from), bytes, bytes}, {bytes, 1, 1}, kind, stream_of(stream), async});
  });
}

cudaError_t copy_rows(const char* call, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                      std::size_t height, cudaMemcpyKind kind, cudaStream_t stream, bool async) {
  return api(call, [&] {
    return copy({call,
                 {address_of(to), to_pitch, to_pitch * height},
                 {address_of(from), from_pitch, from_pitch * height},
                 {width, height, 1},
                 kind,
                 stream_of(stream),
                 async});
  });
}

cudaError_t copy_box(const char* call, const cudaMemcpy3DParms* parameters, cudaStream_t stream, bool async) {
  return api(call, [&] {
    CopyRequest request;
    if (const cudaError_t error = request_of(parameters, call, &request)) return error;
    request.stream = stream_of(stream);
    request.async = async;
    return copy(request);
  });
}

/// The device side of a copy to or from a variable; the offset must lie within it.
cudaError_t symbol_part(const void* symbol, std::size_t bytes, std::size_t offset, void** part) {
  std::uint64_t address = 0, size = 0;
  if (const int error = find_symbol(symbol, &address, &size)) return static_cast<cudaError_t>(error);
  if (offset > size || bytes > size - offset) {
    report_call(Kind::out_of_bounds, std::string(current_call()) + " of " + std::to_string(bytes) + " bytes at +" + std::to_string(offset) +
                                         " of a variable of " + std::to_string(size) + " bytes");
    return cudaErrorInvalidValue;
  }
  *part = reinterpret_cast<void*>(address + offset);
  return cudaSuccess;
}

cudaError_t copy_to_symbol(const char* call, const void* symbol, const void* from, std::size_t bytes, std::size_t offset,
                           cudaMemcpyKind kind, cudaStream_t stream, bool async) {
  return api(call, [&] {
    void* to = nullptr;
    if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToDevice && kind != cudaMemcpyDefault)
      return cudaErrorInvalidMemcpyDirection;
    if (const cudaError_t error = symbol_part(symbol, bytes, offset, &to)) return error;
    return copy({call, {address_of(to), bytes, bytes}, {address_of(from), bytes, bytes}, {bytes, 1, 1}, kind, stream_of(stream), async});
  });
}

cudaError_t copy_from_symbol(const char* call, void* to, const void* symbol, std::size_t bytes, std::size_t offset, cudaMemcpyKind kind,
                             cudaStream_t stream, bool async) {
  return api(call, [&] {
    void* from = nullptr;
    if (kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyDeviceToDevice && kind != cudaMemcpyDefault)
      return cudaErrorInvalidMemcpyDirection;
    if (const cudaError_t error = symbol_part(symbol, bytes, offset, &from)) return error;
    return copy({call, {address_of(to), bytes, bytes}, {address_of(from), bytes, bytes}, {bytes, 1, 1}, kind, stream_of(stream), async});
  });
}

cudaError_t fill_line(const char* call, void* to, int value, std::size_t bytes, cudaStream_t stream, bool async) {
  return api(call, [&] { return fill({call, {address_of(to), bytes, bytes}, {bytes, 1, 1}, value, 1}, stream_of(stream), async); });
}

cudaError_t fill_rows(const char* call, void* to, std::size_t pitch, int value, std::size_t width, std::size_t height, cudaStream_t stream,
                      bool async) {
  return api(call, [&] {
    if (height > 1 && width > pitch) return cudaErrorInvalidPitchValue;
    return fill({call, {address_of(to), pitch, pitch * height}, {width, height, 1}, value, 1}, stream_of(stream), async);
  });
}

cudaError_t fill_box(const char* call, const cudaPitchedPtr& to, int value, const cudaExtent& extent, cudaStream_t stream, bool async) {
  return api(call, [&] {
    return fill({call, {address_of(to.ptr), to.pitch, to.pitch * to.ysize}, {extent.width, extent.height, extent.depth}, value, 1},
                stream_of(stream), async);
  });
}

}  // namespace

namespace gradus::emulator::runtime {

cudaError_t request_of(const cudaMemcpy3DParms* p, const char* call, CopyRequest* out) {
  if (p == nullptr) return cudaErrorInvalidValue;
  if (p->srcArray != nullptr || p->dstArray != nullptr) return unsupported("CUDA arrays");
  const auto side = [](const cudaPitchedPtr& pointer, const cudaPos& at) {
    const std::size_t slice = pointer.pitch * pointer.ysize;
    return Side{address_of(pointer.ptr) + at.x + at.y * pointer.pitch + at.z * slice, pointer.pitch, slice};
  };
  out->call = call;
  out->to = side(p->dstPtr, p->dstPos);
  out->from = side(p->srcPtr, p->srcPos);
  out->box = {p->extent.width, p->extent.height, p->extent.depth};
  out->kind = p->kind;
  return cudaSuccess;
}

}  // namespace gradus::emulator::runtime

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy_line("cudaMemcpy", to, from, bytes, kind, nullptr, false);
}
cudaError_t cudaMemcpy_ptds(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy_line("cudaMemcpy", to, from, bytes, kind, cudaStreamPerThread, false);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_line("cudaMemcpyAsync", to, from, bytes, kind, stream, true);
}
cudaError_t cudaMemcpyPeer(void* to, int, const void* from, int, size_t bytes) {
  return copy_line("cudaMemcpyPeer", to, from, bytes, cudaMemcpyDeviceToDevice, nullptr, false);
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
  return copy_line("cudaMemcpyPeerAsync", to, from, bytes, cudaMemcpyDeviceToDevice, stream, true);
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, cudaMemcpyKind kind) {
  return copy_rows("cudaMemcpy2D", to, to_pitch, from, from_pitch, width, height, kind, nullptr, false);
}
cudaError_t cudaMemcpy2D_ptds(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind) {
  return copy_rows("cudaMemcpy2D", to, to_pitch, from, from_pitch, width, height, kind, cudaStreamPerThread, false);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_rows("cudaMemcpy2DAsync", to, to_pitch, from, from_pitch, width, height, kind, stream, true);
}
cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* parameters) { return copy_box("cudaMemcpy3D", parameters, nullptr, false); }
cudaError_t cudaMemcpy3D_ptds(const cudaMemcpy3DParms* parameters) {
  return copy_box("cudaMemcpy3D", parameters, cudaStreamPerThread, false);
}
cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* parameters, cudaStream_t stream) {
  return copy_box("cudaMemcpy3DAsync", parameters, stream, true);
}
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return copy_to_symbol("cudaMemcpyToSymbol", symbol, from, bytes, offset, kind, nullptr, false);
}
cudaError_t cudaMemcpyToSymbol_ptds(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return copy_to_symbol("cudaMemcpyToSymbol", symbol, from, bytes, offset, kind, cudaStreamPerThread, false);
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind kind,
                                    cudaStream_t stream) {
  return copy_to_symbol("cudaMemcpyToSymbolAsync", symbol, from, bytes, offset, kind, stream, true);
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return copy_from_symbol("cudaMemcpyFromSymbol", to, symbol, bytes, offset, kind, nullptr, false);
}
cudaError_t cudaMemcpyFromSymbol_ptds(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return copy_from_symbol("cudaMemcpyFromSymbol", to, symbol, bytes, offset, kind, cudaStreamPerThread, false);
}
cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_from_symbol("cudaMemcpyFromSymbolAsync", to, symbol, bytes, offset, kind, stream, true);
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) { return fill_line("cudaMemset", to, value, bytes, nullptr, false); }
cudaError_t cudaMemset_ptds(void* to, int value, size_t bytes) {
  return fill_line("cudaMemset", to, value, bytes, cudaStreamPerThread, false);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return fill_line("cudaMemsetAsync", to, value, bytes, stream, true);
}
cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return fill_rows("cudaMemset2D", to, pitch, value, width, height, nullptr, false);
}
cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  return fill_rows("cudaMemset2DAsync", to, pitch, value, width, height, stream, true);
}
cudaError_t cudaMemset3D(cudaPitchedPtr to, int value, cudaExtent extent) {
  return fill_box("cudaMemset3D", to, value, extent, nullptr, false);
}
cudaError_t cudaMemset3DAsync(cudaPitchedPtr to, int value, cudaExtent extent, cudaStream_t stream) {
  return fill_box("cudaMemset3DAsync", to, value, extent, stream, true);
}

}  // extern "C"
