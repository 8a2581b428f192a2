// launch: 1 x 64
extern "C" __global__ void accumulates_into_nothing(int* data, int* out, int* gone) {
  out[threadIdx.x] += data[threadIdx.x];  // finds: uninitialised
}
// launch: 1 x 64
extern "C" __global__ void writes_then_accumulates(int* data, int* out, int* gone) {
  out[threadIdx.x] = 0;
  for (int k = 0; k < data[3]; ++k) out[threadIdx.x] += data[threadIdx.x];
}
// launch: 1 x 64
extern "C" __global__ void tile_half_filled(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  if (threadIdx.x < 48) tile[threadIdx.x] = data[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];  // finds: uninitialised
}
// launch: 1 x 64
extern "C" __global__ void tile_filled(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  tile[threadIdx.x] = threadIdx.x < 48 ? data[threadIdx.x] : 0;
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}
// launch: 1 x 64
extern "C" __global__ void atomic_on_unset_counter(int* data, int* out, int* gone) {
  __shared__ int counter;
  atomicAdd(&counter, data[threadIdx.x]);  // finds: uninitialised
  __syncthreads();
  out[threadIdx.x] = counter;
}
// launch: 1 x 64
extern "C" __global__ void atomic_on_counter(int* data, int* out, int* gone) {
  __shared__ int counter;
  if (threadIdx.x == 0) counter = 0;
  __syncthreads();
  atomicAdd(&counter, data[threadIdx.x]);
  __syncthreads();
  out[threadIdx.x] = counter;
}
// launch: 1 x 32
extern "C" __global__ void local_array_with_a_hole(int* data, int* out, int* gone) {
  int a[16];
  for (int k = 0; k < data[8]; ++k) a[data[k]] = k;
  int sum = 0;
  for (int k = 0; k < data[9]; ++k) sum += a[data[k]];  // finds: uninitialised
  out[threadIdx.x] = sum;
}
// launch: 1 x 32
extern "C" __global__ void local_array_filled(int* data, int* out, int* gone) {
  int a[16];
  for (int k = 0; k < data[8]; ++k) a[data[k]] = k;
  int sum = 0;
  for (int k = 0; k < data[8]; ++k) sum += a[data[k]];
  out[threadIdx.x] = sum;
}
// launch: 1 x 32
extern "C" __global__ void copy_not_waited_for(int* data, int* out, int* gone) {
  __shared__ int tile[32];
  unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(tile + threadIdx.x));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(data + threadIdx.x) : "memory");
  asm volatile("cp.async.commit_group;" ::: "memory");
  out[threadIdx.x] = tile[threadIdx.x];  // finds: uninitialised
}
// launch: 1 x 32
extern "C" __global__ void copy_waited_for(int* data, int* out, int* gone) {
  __shared__ int tile[32];
  unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(tile + threadIdx.x));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(data + threadIdx.x) : "memory");
  asm volatile("cp.async.commit_group;" ::: "memory");
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  out[threadIdx.x] = tile[threadIdx.x];
}
struct Padded {
  int key;
  char flag;
};
// launch: 1 x 32
extern "C" __global__ void copies_padding(int* data, int* out, int* gone) {
  Padded* rows = reinterpret_cast<Padded*>(out);
  rows[threadIdx.x].key = 1;
  rows[threadIdx.x].flag = 2;
  rows[threadIdx.x + 32] = rows[threadIdx.x];
}
// launch: 1 x 32
extern "C" __global__ void copies_again_before_it_reads(int* data, int* out, int* gone) {
  __shared__ int ring[2][32];
  for (int k = 0; k < 3; ++k) {
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(&ring[k % 2][threadIdx.x]));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(data + 32 * k + threadIdx.x) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  asm volatile("cp.async.wait_group 2;" ::: "memory");
  out[threadIdx.x] = ring[0][threadIdx.x];  // finds: uninitialised
}
__device__ __noinline__ bool take(int* from, int* to) {
  if (*from % 3 == 0) return false;
  *to = *from;
  return true;
}
// launch: 1 x 32
extern "C" __global__ void loads_too_early(int* data, int* out, int* gone) {
  int taken;
  out[threadIdx.x] = take(data + threadIdx.x, &taken) ? taken : -1;
}
// launch: 1 x 32
extern "C" __global__ void uses_what_was_not_taken(int* data, int* out, int* gone) {
  int taken;
  bool good = take(data + threadIdx.x, &taken);
  out[threadIdx.x] = taken + good;  // finds: uninitialised
}
