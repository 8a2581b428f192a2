// launch: 33 x 128
extern "C" __global__ void off_by_one(int* data, int* out, int* gone) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= 4096) out[i] = i;  // finds: out-of-bounds
}
// launch: 33 x 128
extern "C" __global__ void guarded(int* data, int* out, int* gone) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < 4096) out[i] = data[4095 - i];
}
// launch: 1 x 64
extern "C" __global__ void before_the_start(int* data, int* out, int* gone) {
  int i = threadIdx.x;
  out[i] = data[i - 1];  // finds: out-of-bounds
}
// launch: 1 x 64
extern "C" __global__ void beyond_shared(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  int i = threadIdx.x;
  tile[i + data[1]] = i;  // finds: out-of-bounds
  __syncthreads();
  if (i > 0) out[i] = tile[i];
}
// launch: 1 x 64
extern "C" __global__ void within_shared(int* data, int* out, int* gone) {
  __shared__ int tile[65];
  int i = threadIdx.x;
  tile[i + data[1]] = i;
  __syncthreads();
  if (i > 0) out[i] = tile[i];
}
// launch: 1 x 32
extern "C" __global__ void vector_over_the_end(int* data, int* out, int* gone) {
  int4* rows = reinterpret_cast<int4*>(out);
  rows[993 + threadIdx.x] = make_int4(1, 2, 3, 4);  // finds: out-of-bounds
}
// launch: 1 x 32
extern "C" __global__ void vector_to_the_end(int* data, int* out, int* gone) {
  int4* rows = reinterpret_cast<int4*>(out);
  rows[992 + threadIdx.x] = make_int4(1, 2, 3, 4);
}
// launch: 1 x 32
extern "C" __global__ void atomic_outside(int* data, int* out, int* gone) {
  atomicAdd(data + 4096 * (threadIdx.x == 7), 1);  // finds: out-of-bounds
}
// launch: 1 x 32
extern "C" __global__ void null_pointer(int* data, int* out, int* gone) {
  int* nothing = reinterpret_cast<int*>(static_cast<long>(data[0]));
  nothing[threadIdx.x] = 1;  // finds: out-of-bounds
}
