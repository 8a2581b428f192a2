// launch: 1 x 64
extern "C" __global__ void reads_freed(int* data, int* out, int* gone) {
  out[threadIdx.x] = gone[threadIdx.x];  // finds: freed
}
// launch: 1 x 64
extern "C" __global__ void writes_freed(int* data, int* out, int* gone) {
  gone[threadIdx.x + 1] = data[threadIdx.x];  // finds: freed
}
// launch: 1 x 64
extern "C" __global__ void counts_in_freed(int* data, int* out, int* gone) {
  atomicAdd(gone, 1);  // finds: freed
}
// launch: 1 x 64
extern "C" __global__ void keeps_away_from_freed(int* data, int* out, int* gone) {
  int* to = data[0] == 0 ? out : gone;
  to[threadIdx.x] = data[threadIdx.x];
}
// launch: 1 x 64
extern "C" __global__ void compares_freed_pointer(int* data, int* out, int* gone) { out[threadIdx.x] = gone + threadIdx.x > data; }
