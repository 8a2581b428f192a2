// Entry points that programs link against and that the emulator does not have: each says so by name and returns cudaErrorNotSupported.
// What is in no file of this folder is an error of the linker.
#include <gradus/kernels/emulator/runtime/api.h>

using namespace gradus::emulator::runtime;

namespace {

cudaError_t refused(const char* call, const char* what) {
  return api(call, [&] { return unsupported(what); });
}

}  // namespace

extern "C" {

// ---- arrays, textures, surfaces
cudaError_t cudaMallocArray(cudaArray_t*, const cudaChannelFormatDesc*, size_t, size_t, unsigned) {
  return refused("cudaMallocArray", "CUDA arrays");
}
cudaError_t cudaMalloc3DArray(cudaArray_t*, const cudaChannelFormatDesc*, cudaExtent, unsigned) {
  return refused("cudaMalloc3DArray", "CUDA arrays");
}
cudaError_t cudaMallocMipmappedArray(cudaMipmappedArray_t*, const cudaChannelFormatDesc*, cudaExtent, unsigned, unsigned) {
  return refused("cudaMallocMipmappedArray", "CUDA arrays");
}
cudaError_t cudaGetMipmappedArrayLevel(cudaArray_t*, cudaMipmappedArray_const_t, unsigned) {
  return refused("cudaGetMipmappedArrayLevel", "CUDA arrays");
}
cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t) { return refused("cudaFreeMipmappedArray", "CUDA arrays"); }
cudaError_t cudaFreeArray(cudaArray_t array) { return array == nullptr ? cudaSuccess : refused("cudaFreeArray", "CUDA arrays"); }
cudaError_t cudaMemcpyToArray(cudaArray_t, size_t, size_t, const void*, size_t, cudaMemcpyKind) {
  return refused("cudaMemcpyToArray", "CUDA arrays");
}
cudaError_t cudaMemcpyFromArray(void*, cudaArray_const_t, size_t, size_t, size_t, cudaMemcpyKind) {
  return refused("cudaMemcpyFromArray", "CUDA arrays");
}
cudaError_t cudaMemcpy2DToArray(cudaArray_t, size_t, size_t, const void*, size_t, size_t, size_t, cudaMemcpyKind) {
  return refused("cudaMemcpy2DToArray", "CUDA arrays");
}
cudaError_t cudaMemcpy2DFromArray(void*, size_t, cudaArray_const_t, size_t, size_t, size_t, size_t, cudaMemcpyKind) {
  return refused("cudaMemcpy2DFromArray", "CUDA arrays");
}
cudaError_t cudaMemcpy2DToArrayAsync(cudaArray_t, size_t, size_t, const void*, size_t, size_t, size_t, cudaMemcpyKind, cudaStream_t) {
  return refused("cudaMemcpy2DToArrayAsync", "CUDA arrays");
}
cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, cudaChannelFormatKind kind) { return {x, y, z, w, kind}; }
cudaError_t cudaGetChannelDesc(cudaChannelFormatDesc*, cudaArray_const_t) { return refused("cudaGetChannelDesc", "CUDA arrays"); }
cudaError_t cudaCreateTextureObject(cudaTextureObject_t*, const cudaResourceDesc*, const cudaTextureDesc*, const cudaResourceViewDesc*) {
  return refused("cudaCreateTextureObject", "textures");
}
cudaError_t cudaDestroyTextureObject(cudaTextureObject_t) { return refused("cudaDestroyTextureObject", "textures"); }
cudaError_t cudaCreateSurfaceObject(cudaSurfaceObject_t*, const cudaResourceDesc*) {
  return refused("cudaCreateSurfaceObject", "surfaces");
}
cudaError_t cudaDestroySurfaceObject(cudaSurfaceObject_t) { return refused("cudaDestroySurfaceObject", "surfaces"); }

// ---- other processes, other interfaces
cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t*, void*) { return refused("cudaIpcGetMemHandle", "memory shared between processes"); }
cudaError_t cudaIpcOpenMemHandle(void**, cudaIpcMemHandle_t, unsigned) {
  return refused("cudaIpcOpenMemHandle", "memory shared between processes");
}
cudaError_t cudaIpcCloseMemHandle(void*) { return refused("cudaIpcCloseMemHandle", "memory shared between processes"); }
cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t*, cudaEvent_t) {
  return refused("cudaIpcGetEventHandle", "events shared between processes");
}
cudaError_t cudaIpcOpenEventHandle(cudaEvent_t*, cudaIpcEventHandle_t) {
  return refused("cudaIpcOpenEventHandle", "events shared between processes");
}
cudaError_t cudaImportExternalMemory(cudaExternalMemory_t*, const cudaExternalMemoryHandleDesc*) {
  return refused("cudaImportExternalMemory", "external memory");
}
cudaError_t cudaMemPoolExportToShareableHandle(void*, cudaMemPool_t, cudaMemAllocationHandleType, unsigned) {
  return refused("cudaMemPoolExportToShareableHandle", "memory shared between processes");
}
cudaError_t cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long, cudaDriverEntryPointQueryResult* result) {
  if (function != nullptr) *function = nullptr;
  if (result != nullptr) *result = cudaDriverEntryPointSymbolNotFound;
  return refused("cudaGetDriverEntryPoint", name == nullptr ? "the driver's interface" : name);
}
#if CUDART_VERSION >= 12050
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  if (function != nullptr) *function = nullptr;
  if (result != nullptr) *result = cudaDriverEntryPointSymbolNotFound;
  return refused("cudaGetDriverEntryPointByVersion", name == nullptr ? "the driver's interface" : name);
}
#endif

// ---- clusters, graphs beyond what is built
cudaError_t cudaOccupancyMaxActiveClusters(int*, const void*, const cudaLaunchConfig_t*) {
  return refused("cudaOccupancyMaxActiveClusters", "thread block clusters");
}
cudaError_t cudaOccupancyMaxPotentialClusterSize(int*, const void*, const cudaLaunchConfig_t*) {
  return refused("cudaOccupancyMaxPotentialClusterSize", "thread block clusters");
}
cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t*, cudaGraph_t, const cudaGraphNode_t*, size_t, cudaMemAllocNodeParams*) {
  return refused("cudaGraphAddMemAllocNode", "memory nodes of graphs");
}
cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t*, cudaGraph_t, const cudaGraphNode_t*, size_t, void*) {
  return refused("cudaGraphAddMemFreeNode", "memory nodes of graphs");
}
cudaError_t cudaGraphDebugDotPrint(cudaGraph_t, const char*, unsigned) { return refused("cudaGraphDebugDotPrint", "drawings of graphs"); }

}  // extern "C"
