// The CUDA runtime's stand-in: every entry point's error codes, streams, events, graphs, launches, and what the checks of the runtime find.
#include <doctest/doctest.h>

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/runtime/registry.h>
#include <gradus/kernels/emulator/runtime/stream_work.h>

using namespace gradus::emulator;

extern "C" {
void** __cudaRegisterFatBinary(void* wrapper);
void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*);
void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* name, int, size_t bytes, int, int);
}

namespace {

const char* const kPtx = R"(
.version 8.0
.target sm_80
.address_size 64
.global .align 4 .u32 counter;
.const .align 4 .u32 factor;
.visible .entry add_one(.param .u64 add_one_p)
{
  .reg .b32 %r<6>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [add_one_p];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r2, [%rd3];
  add.s32 %r3, %r2, 1;
  st.global.u32 [%rd3], %r3;
  ret;
}
.visible .entry bounded() .maxntid 64, 1, 1
{
  ret;
}
.visible .entry trapping()
{
  trap;
  ret;
}
)";

/// A fat binary as nvcc writes it (ptx/images.cpp), around the text.
struct FatBinary {
  struct {
    std::uint32_t magic = 0x466243b1, version = 1;
    const void* data = nullptr;
    const void* file = nullptr;
  } wrapper;
  std::vector<char> bytes;

  explicit FatBinary(const std::string& ptx) : bytes(16 + 64 + ptx.size()) {
    put(0, std::uint32_t{0xba55ed50});
    put(4, std::uint16_t{1});
    put(6, std::uint16_t{16});
    put(8, std::uint64_t{64 + ptx.size()});
    put(16, std::uint16_t{1});
    put(20, std::uint32_t{64});
    put(24, std::uint64_t{ptx.size()});
    put(44, std::uint32_t{80});
    std::memcpy(bytes.data() + 80, ptx.data(), ptx.size());
    wrapper.data = bytes.data();
  }
  template <class T> void put(std::size_t at, T value) { std::memcpy(bytes.data() + at, &value, sizeof value); }
};

// Their addresses are the keys, as those of nvcc's host stubs are.
char add_one, bounded, trapping, absent, counter, factor;

void register_module() {
  static auto* binary = new FatBinary(kPtx);
  static bool once = false;
  if (once) return;
  once = true;
  void** handle = __cudaRegisterFatBinary(&binary->wrapper);
  const auto function = [&](char& host, const char* name) {
    __cudaRegisterFunction(handle, &host, nullptr, name, -1, nullptr, nullptr, nullptr, nullptr, nullptr);
  };
  function(add_one, "add_one");
  function(bounded, "bounded");
  function(trapping, "trapping");
  function(absent, "absent");
  __cudaRegisterVar(handle, &counter, nullptr, "counter", 0, 4, 0, 0);
  __cudaRegisterVar(handle, &factor, nullptr, "factor", 0, 4, 1, 0);
}

/// A device of its own for each test; findings go here.
struct Device {
  std::vector<Finding> found;
  Device() {
    register_module();
    Report::instance().set_sink([this](const Finding& f) { found.push_back(f); });
  }
  ~Device() {
    cudaDeviceSynchronize();
    cudaGetLastError();
    Report::instance().set_sink({});
    Report::instance().clear();  // the process must not end with a finding's exit code
  }
  /// The kinds found so far, which are forgotten.
  std::vector<Kind> take() {
    std::vector<Kind> kinds;
    for (const Finding& f : found) kinds.push_back(f.kind);
    found.clear();
    Report::instance().clear();
    return kinds;
  }
  bool only(Kind kind) const { return found.size() == 1 && found[0].kind == kind; }
};

cudaError_t run_add_one(void* data, unsigned threads, cudaStream_t stream = nullptr) {
  void* arguments[] = {&data};
  return cudaLaunchKernel(&add_one, dim3(1), dim3(threads), arguments, 0, stream);
}

struct Ints {
  int* data = nullptr;
  explicit Ints(std::size_t n, int value = 0) {
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&data), n * sizeof(int)) == cudaSuccess);
    cudaMemset(data, value, n * sizeof(int));
  }
  ~Ints() { cudaFree(data); }
};

int first_of(const int* device) {
  int value = -1;
  CHECK(cudaMemcpy(&value, device, sizeof value, cudaMemcpyDeviceToHost) == cudaSuccess);
  return value;
}

}  // namespace

TEST_CASE("runtime: errors have the vendor's names and are forgotten once read") {
  Device device;
  CHECK(std::string(cudaGetErrorName(cudaErrorIllegalAddress)) == "cudaErrorIllegalAddress");
  CHECK(std::string(cudaGetErrorString(cudaErrorInvalidValue)) == "invalid argument");
  CHECK(std::string(cudaGetErrorString(static_cast<cudaError_t>(4711))) == "unrecognized error code");
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  CHECK(cudaPeekAtLastError() == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("runtime: one device with the limits of an H100") {
  Device device;
  int count = 0, value = 0;
  CHECK(cudaGetDeviceCount(&count) == cudaSuccess);
  CHECK(count == 1);
  cudaDeviceProp properties;
  CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
  CHECK(std::string(properties.name) == "gradus emulator (H100 limits)");
  CHECK(properties.sharedMemPerBlockOptin == 227 * 1024);
  CHECK(cudaGetDeviceProperties(&properties, 1) == cudaErrorInvalidDevice);
  CHECK(cudaGetDeviceProperties(nullptr, 0) == cudaErrorInvalidValue);
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0) == cudaSuccess);
  CHECK(value == 132);
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 3) == cudaErrorInvalidDevice);
  CHECK(cudaDeviceCanAccessPeer(&value, 0, 1) == cudaErrorInvalidDevice);
  std::size_t bytes = 0, total = 0;
  CHECK(cudaMemGetInfo(&bytes, &total) == cudaSuccess);
  CHECK(bytes <= total);
  CHECK(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 1 << 20) == cudaSuccess);
  CHECK(cudaDeviceGetLimit(&bytes, cudaLimitMallocHeapSize) == cudaSuccess);
  CHECK(bytes == 1 << 20);
  CHECK(cudaDeviceGetLimit(&bytes, cudaLimitMaxL2FetchGranularity) == cudaErrorUnsupportedLimit);
}

TEST_CASE("runtime: memory is allocated, told apart, freed once") {
  Device device;
  void *memory = nullptr, *pinned = nullptr, *managed = nullptr, *mapped = nullptr;
  CHECK(cudaMalloc(&memory, 1000) == cudaSuccess);
  CHECK(reinterpret_cast<std::uintptr_t>(memory) % 256 == 0);
  CHECK(cudaMallocHost(&pinned, 1000) == cudaSuccess);
  CHECK(cudaMallocManaged(&managed, 1000, cudaMemAttachGlobal) == cudaSuccess);
  static_cast<int*>(pinned)[0] = static_cast<int*>(managed)[0] = 1;
  int local = 0;
  cudaPointerAttributes attributes;
  const auto type = [&](const void* p) {
    CHECK(cudaPointerGetAttributes(&attributes, p) == cudaSuccess);
    return attributes.type;
  };
  CHECK(type(memory) == cudaMemoryTypeDevice);
  CHECK(type(pinned) == cudaMemoryTypeHost);
  CHECK(type(managed) == cudaMemoryTypeManaged);
  CHECK(type(&local) == cudaMemoryTypeUnregistered);
  CHECK(cudaHostGetDevicePointer(&mapped, pinned, 0) == cudaSuccess);
  CHECK(cudaHostGetDevicePointer(&mapped, memory, 0) == cudaErrorInvalidValue);
  CHECK(cudaMalloc(nullptr, 4) == cudaErrorInvalidValue);
  CHECK(cudaMalloc(&mapped, std::size_t{1} << 50) == cudaErrorMemoryAllocation);
  CHECK(cudaFree(&local) == cudaErrorInvalidValue);
  CHECK(cudaFree(static_cast<char*>(memory) + 4) == cudaErrorInvalidValue);
  CHECK(cudaFreeHost(memory) == cudaErrorInvalidValue);
  CHECK(cudaFree(nullptr) == cudaSuccess);
  CHECK(device.take() == std::vector<Kind>(3, Kind::freed));
  CHECK(cudaFree(memory) == cudaSuccess);
  CHECK(cudaFree(memory) == cudaErrorInvalidValue);
  CHECK(cudaFreeAsync(memory, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaFree(pinned) == cudaErrorInvalidValue);
  CHECK(device.take() == std::vector<Kind>(3, Kind::freed));
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaFree(managed) == cudaSuccess);
  std::vector<char> page(4096);
  CHECK(cudaHostRegister(page.data(), page.size(), 0) == cudaSuccess);
  CHECK(type(page.data()) == cudaMemoryTypeHost);
  CHECK(cudaHostRegister(page.data(), page.size(), 0) == cudaErrorHostMemoryAlreadyRegistered);
  CHECK(cudaHostUnregister(page.data()) == cudaSuccess);
  CHECK(cudaHostUnregister(page.data()) == cudaErrorHostMemoryNotRegistered);
}

TEST_CASE("runtime: copies check direction, pitch and range") {
  Device device;
  Ints ints(64);
  int host[64] = {7}, other[64] = {};
  CHECK(cudaMemcpy(ints.data, host, sizeof host, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(other, ints.data, sizeof host, cudaMemcpyDefault) == cudaSuccess);
  CHECK(other[0] == 7);
  CHECK(cudaMemcpy(ints.data, host, sizeof host, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(ints.data, host, sizeof host, cudaMemcpyHostToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(ints.data, host, sizeof host, static_cast<cudaMemcpyKind>(9)) == cudaErrorInvalidMemcpyDirection);
  CHECK(cudaMemcpy(nullptr, host, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemset(host, 0, 4) == cudaErrorInvalidValue);
  CHECK(device.take() == std::vector<Kind>{Kind::host_access, Kind::host_access, Kind::out_of_bounds, Kind::host_access});
  CHECK(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy2D(ints.data, 8, host, 32, 16, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidPitchValue);
  CHECK(cudaMemcpy2D(ints.data, 32, host, 16, 16, 4, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(device.found.empty());
  CHECK(cudaMemcpy(ints.data + 1, host, sizeof host, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(device.only(Kind::out_of_bounds));
}

TEST_CASE("runtime: a copy to the host of what was never written is found") {
  Device device;
  int* data = nullptr;
  int host[64];
  cudaMalloc(reinterpret_cast<void**>(&data), sizeof host);
  cudaMemset(data, 0, 32 * sizeof(int));
  CHECK(cudaMemcpy(host, data, 32 * sizeof(int), cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(device.found.empty());
  CHECK(cudaMemcpy(host, data, sizeof host, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(device.only(Kind::uninitialised));
  cudaFree(data);
}

TEST_CASE("runtime: variables are copied within their bounds") {
  Device device;
  int value = 5, back = 0;
  void* address = nullptr;
  std::size_t size = 0;
  CHECK(cudaMemcpyToSymbol(&counter, &value, 4, 0, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpyFromSymbol(&back, &counter, 4, 0, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(back == 5);
  CHECK(cudaMemcpyToSymbol(&factor, &value, 4, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyToSymbol(&factor, &value, 4, 0, cudaMemcpyDeviceToHost) == cudaErrorInvalidMemcpyDirection);
  CHECK(cudaMemcpyToSymbol(&value, &value, 4, 0, cudaMemcpyHostToDevice) == cudaErrorInvalidSymbol);
  CHECK(cudaGetSymbolAddress(&address, &counter) == cudaSuccess);
  CHECK(cudaGetSymbolSize(&size, &counter) == cudaSuccess);
  CHECK(size == 4);
  CHECK(cudaFree(address) == cudaErrorInvalidValue);
  CHECK(device.take() == std::vector<Kind>{Kind::out_of_bounds, Kind::freed});
}

TEST_CASE("runtime: work runs late, and a host that does not wait sees old values") {
  Device device;
  Ints ints(32);
  int* pinned = nullptr;
  cudaMallocHost(reinterpret_cast<void**>(&pinned), sizeof(int));
  *pinned = 0;
  cudaStream_t stream;
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  CHECK(run_add_one(ints.data, 32, stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(pinned, ints.data, sizeof(int), cudaMemcpyDeviceToHost, stream) == cudaSuccess);
  CHECK(*pinned == 0);
  CHECK(device.take() == std::vector<Kind>{Kind::stream_order});
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(*pinned == 1);
  while (cudaStreamQuery(stream) == cudaErrorNotReady) {}
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
  CHECK(run_add_one(ints.data, 32, stream) == cudaErrorInvalidResourceHandle);
  CHECK(cudaStreamDestroy(nullptr) == cudaErrorInvalidResourceHandle);
  CHECK(cudaStreamCreateWithFlags(&stream, 8) == cudaErrorInvalidValue);
  cudaFreeHost(pinned);
  CHECK(device.found.empty());
}

TEST_CASE("runtime: pinned memory belongs to a queued copy until the host has waited for it") {
  Device device;
  constexpr std::size_t kBytes = 3 * 4096 + 100;
  Ints ints(kBytes / sizeof(int));
  char* pinned = nullptr;
  cudaMallocHost(reinterpret_cast<void**>(&pinned), kBytes);
  std::memset(pinned, 1, kBytes);
  cudaStream_t stream, other;
  cudaStreamCreate(&stream);
  cudaStreamCreate(&other);
  CHECK(cudaMemcpyAsync(ints.data, pinned + 100, kBytes - 100, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  pinned[99] = 2;            // beside it
  CHECK(pinned[5000] == 1);  // both only read
  CHECK(device.found.empty());
  CHECK(cudaStreamSynchronize(other) == cudaSuccess);  // says nothing of the copy
  pinned[5000] = 2;
  CHECK(device.take() == std::vector<Kind>{Kind::stream_order});
  pinned[kBytes - 1] = 2;  // told once
  CHECK(device.found.empty());
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);

  CHECK(cudaMemcpyAsync(pinned, ints.data, 4096, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(ints.data, pinned, 2 * 4096, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  CHECK(cudaMemsetAsync(ints.data, 0, 4, stream) == cudaSuccess);
  cudaStreamSynchronize(stream);
  std::memset(pinned, 0, kBytes);
  CHECK(device.found.empty());
  CHECK(cudaMemsetAsync(pinned, 7, kBytes, stream) == cudaSuccess);
  cudaEvent_t filled;
  cudaEventCreate(&filled);
  cudaEventRecord(filled, stream);
  cudaEventSynchronize(filled);
  CHECK(pinned[kBytes - 1] == 7);
  CHECK(device.found.empty());
  cudaEventDestroy(filled);
  cudaStreamDestroy(stream);
  cudaStreamDestroy(other);
  cudaFreeHost(pinned);
}

TEST_CASE("runtime: events order, answer and never claim a device's time") {
  Device device;
  Ints ints(32);
  cudaEvent_t from, to, untimed;
  CHECK(cudaEventCreate(&from) == cudaSuccess);
  CHECK(cudaEventCreate(&to) == cudaSuccess);
  CHECK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming) == cudaSuccess);
  float milliseconds = 0;
  CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventQuery(from) == cudaSuccess);
  cudaEventRecord(from, nullptr);
  run_add_one(ints.data, 32);
  cudaEventRecord(to, nullptr);
  cudaEventRecord(untimed, nullptr);
  CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaErrorNotReady);
  CHECK(cudaEventSynchronize(to) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaSuccess);
  CHECK(milliseconds >= 0.001f);
  CHECK(cudaEventElapsedTime(&milliseconds, from, untimed) == cudaErrorInvalidResourceHandle);
  for (cudaEvent_t event : {from, to, untimed}) CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaEventDestroy(to) == cudaErrorInvalidResourceHandle);
  cudaGetLastError();
}

TEST_CASE("runtime: unordered streams are found, events order them, the default stream orders blocking ones") {
  Device device;
  Ints ints(32);
  cudaStream_t first, second;
  cudaStreamCreate(&first);
  cudaStreamCreate(&second);
  cudaDeviceSynchronize();
  SUBCASE("nothing between") {
    run_add_one(ints.data, 32, first);
    run_add_one(ints.data, 32, second);
    cudaDeviceSynchronize();
    CHECK(device.only(Kind::stream_order));
  }
  SUBCASE("an event") {
    cudaEvent_t done;
    cudaEventCreate(&done);
    run_add_one(ints.data, 32, first);
    cudaEventRecord(done, first);
    cudaStreamWaitEvent(second, done, 0);
    run_add_one(ints.data, 32, second);
    cudaDeviceSynchronize();
    CHECK(device.found.empty());
    cudaEventDestroy(done);
  }
  SUBCASE("a synchronisation") {
    run_add_one(ints.data, 32, first);
    cudaStreamSynchronize(first);
    run_add_one(ints.data, 32, second);
    CHECK(first_of(ints.data) == 2);
    CHECK(device.found.empty());
  }
  SUBCASE("the default stream") {
    run_add_one(ints.data, 32, first);
    run_add_one(ints.data, 32);
    run_add_one(ints.data, 32, second);
    CHECK(first_of(ints.data) == 3);
    CHECK(device.found.empty());
  }
  SUBCASE("parts of one array") {
    run_add_one(ints.data, 16, first);
    run_add_one(ints.data + 16, 16, second);
    cudaDeviceSynchronize();
    CHECK(device.found.empty());
  }
  cudaStreamDestroy(first);
  cudaStreamDestroy(second);
}

TEST_CASE("runtime: stream-ordered memory belongs to its stream until something orders it") {
  Device device;
  cudaStream_t first, second;
  cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
  void* data = nullptr;
  CHECK(cudaMallocAsync(&data, 128, first) == cudaSuccess);
  CHECK(cudaMemsetAsync(data, 0, 128, first) == cudaSuccess);
  CHECK(run_add_one(data, 32, first) == cudaSuccess);
  SUBCASE("freed where it was used") {
    CHECK(cudaFreeAsync(data, first) == cudaSuccess);
    cudaDeviceSynchronize();
    CHECK(device.found.empty());
  }
  SUBCASE("freed on another stream") {
    CHECK(cudaFreeAsync(data, second) == cudaSuccess);
    cudaDeviceSynchronize();
    CHECK_FALSE(device.found.empty());
  }
  cudaStreamDestroy(first);
  cudaStreamDestroy(second);
}

TEST_CASE("runtime: a launch beyond the limits is refused with the right error, and found") {
  Device device;
  Ints ints(32);
  void* data = ints.data;
  void* arguments[] = {&data};
  const auto launch = [&](const void* f, dim3 grid, dim3 block, std::size_t shared = 0) {
    return cudaLaunchKernel(f, grid, block, f == &add_one ? arguments : nullptr, shared, nullptr);
  };
  CHECK(launch(&absent, 1, 32) == cudaErrorInvalidDeviceFunction);
  CHECK(launch(&data, 1, 32) == cudaErrorInvalidDeviceFunction);
  CHECK(device.found.empty());
  SUBCASE("threads") { CHECK(launch(&add_one, 1, 1025) == cudaErrorInvalidConfiguration); }
  SUBCASE("threads in all") { CHECK(launch(&add_one, 1, dim3(64, 32)) == cudaErrorInvalidConfiguration); }
  SUBCASE("no block") { CHECK(launch(&add_one, 0, 32) == cudaErrorInvalidConfiguration); }
  SUBCASE("z of a block") { CHECK(launch(&add_one, 1, dim3(1, 1, 65)) == cudaErrorInvalidConfiguration); }
  SUBCASE("y of the grid") { CHECK(launch(&add_one, dim3(1, 65536), 32) == cudaErrorInvalidConfiguration); }
  SUBCASE("shared memory") { CHECK(launch(&add_one, 1, 32, 48 * 1024 + 1) == cudaErrorInvalidValue); }
  SUBCASE("launch bounds") { CHECK(launch(&bounded, 1, 65) == cudaErrorInvalidValue); }
  CHECK(device.only(Kind::launch_limit));
  CHECK(cudaGetLastError() != cudaSuccess);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("runtime: what is known of a kernel") {
  Device device;
  cudaFuncAttributes attributes;
  CHECK(cudaFuncGetAttributes(&attributes, &bounded) == cudaSuccess);
  CHECK(attributes.maxThreadsPerBlock == 64);
  CHECK(attributes.ptxVersion == 80);
  CHECK(attributes.maxDynamicSharedSizeBytes == 48 * 1024);
  CHECK(cudaFuncGetAttributes(&attributes, &device) == cudaErrorInvalidDeviceFunction);
  CHECK(cudaFuncSetAttribute(&bounded, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 * 1024) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(&bounded, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024) == cudaSuccess);
  int blocks = 0;
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &bounded, 64, 100 * 1024) == cudaSuccess);
  CHECK(blocks == 2);
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &bounded, 64, 0) == cudaSuccess);
  CHECK(blocks == 32);
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &bounded, 0, 0) == cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_CASE("runtime: a captured stream becomes a graph that runs again") {
  Device device;
  Ints ints(32);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);
  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  CHECK(run_add_one(ints.data, 32, stream) == cudaSuccess);
  SUBCASE("replayed") {
    CHECK(run_add_one(ints.data, 32, stream) == cudaSuccess);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    std::size_t nodes = 0;
    CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
    CHECK(nodes == 2);
    CHECK(cudaGraphInstantiateWithFlags(&executable, graph, 0) == cudaSuccess);
    CHECK(first_of(ints.data) == 0);
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    CHECK(first_of(ints.data) == 4);
    CHECK(cudaGraphExecDestroy(executable) == cudaSuccess);
    CHECK(cudaGraphExecDestroy(executable) == cudaErrorInvalidValue);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  }
  SUBCASE("void after a wait") {
    CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
  }
  cudaStreamDestroy(stream);
}

TEST_CASE("runtime: host functions run in stream order and may not call CUDA") {
  Device device;
  Ints ints(32);
  static cudaError_t inside;
  static int calls;
  calls = 0;
  CHECK(cudaLaunchHostFunc(nullptr, nullptr, nullptr) == cudaErrorInvalidValue);
  const auto function = [](void* data) {
    ++*static_cast<int*>(data);
    inside = cudaDeviceSynchronize();
  };
  CHECK(cudaLaunchHostFunc(nullptr, function, &calls) == cudaSuccess);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(calls == 1);
  CHECK(inside == cudaErrorNotPermitted);
  cudaGetLastError();
}

TEST_CASE("runtime: work of the library stand-ins is checked and ordered like a kernel") {
  Device device;
  Ints a(32, 1), b(32);
  const auto copy = [&] { std::memcpy(device_bytes(b.data), device_bytes(a.data), 128); };
  CHECK(enqueue_host_work(nullptr, "work", copy, {{a.data, 128, "A"}}, {{b.data, 128, "B"}}, {}));
  CHECK(first_of(b.data) == 0x01010101);
  CHECK(device.found.empty());
  CHECK_FALSE(enqueue_host_work(nullptr, "work", copy, {{a.data, 256, "A"}}, {{b.data, 128, "B"}}, {}));
  CHECK(device.only(Kind::out_of_bounds));
  CHECK(device.found[0].text.find("`A`") != std::string::npos);
}

TEST_CASE("runtime: what the emulator lacks says so") {
  Device device;
  cudaArray_t array = nullptr;
  const cudaChannelFormatDesc format = cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindFloat);
  CHECK(cudaMallocArray(&array, &format, 4, 4, 0) == cudaErrorNotSupported);
  cudaGetLastError();
}

TEST_CASE("runtime: a kernel's error sticks until the device is reset") {
  Device device;
  void* data = nullptr;
  CHECK(cudaLaunchKernel(&trapping, dim3(1), dim3(32), nullptr, 0, nullptr) == cudaSuccess);
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(cudaMalloc(&data, 4) == cudaErrorLaunchFailure);
  cudaDeviceReset();
  CHECK(cudaMalloc(&data, 4) == cudaSuccess);
  CHECK(cudaFree(data) == cudaSuccess);
}
