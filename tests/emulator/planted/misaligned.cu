// launch: 1 x 32
extern "C" __global__ void vector_off_by_an_element(int* data, int* out, int* gone) {
  float4 v = *reinterpret_cast<float4*>(data + 4 * threadIdx.x + 1);  // finds: misaligned
  out[threadIdx.x] = static_cast<int>(v.x + v.w);
}
// launch: 1 x 32
extern "C" __global__ void vector_on_its_place(int* data, int* out, int* gone) {
  float4 v = *reinterpret_cast<float4*>(data + 4 * threadIdx.x + 4);
  out[threadIdx.x] = static_cast<int>(v.x + v.w);
}
// launch: 1 x 32
extern "C" __global__ void int_at_odd_byte(int* data, int* out, int* gone) {
  char* bytes = reinterpret_cast<char*>(data);
  out[threadIdx.x] = *reinterpret_cast<int*>(bytes + 4 * threadIdx.x + 2);  // finds: misaligned
}
// launch: 1 x 32
extern "C" __global__ void shorts_at_two_bytes(int* data, int* out, int* gone) {
  char* bytes = reinterpret_cast<char*>(data);
  out[threadIdx.x] = *reinterpret_cast<short*>(bytes + 4 * threadIdx.x + 2);
}
// launch: 1 x 32
extern "C" __global__ void wide_in_narrow_shared(int* data, int* out, int* gone) {
  __shared__ int tile[32][4];
  __shared__ int flag;  // may be laid out before the tile
  for (int k = 0; k < 4; ++k) tile[threadIdx.x][k] = data[k];
  if (threadIdx.x == 0) flag = data[0];
  __syncwarp();
  int4 v = *reinterpret_cast<int4*>(tile[data[threadIdx.x]]);  // finds: misaligned
  out[threadIdx.x] = v.x + v.y + v.z + v.w + flag;
}
// launch: 1 x 32
extern "C" __global__ void wide_in_shared_that_packs(int* data, int* out, int* gone) {
  __shared__ int tile[32][4];
  __shared__ int other[64];  // as long as some vectors: whatever comes first, the other is on its place
  for (int k = 0; k < 4; ++k) tile[threadIdx.x][k] = data[k];
  other[2 * threadIdx.x] = other[2 * threadIdx.x + 1] = data[1];
  __syncwarp();
  int4 v = *reinterpret_cast<int4*>(tile[data[threadIdx.x]]);
  int2 w = *reinterpret_cast<int2*>(other + 2 * (threadIdx.x ^ 1));
  out[threadIdx.x] = v.x + v.y + v.z + v.w + w.x + w.y;
}
// launch: 1 x 32
extern "C" __global__ void wide_in_wide_shared(int* data, int* out, int* gone) {
  alignas(16) __shared__ int tile[32][4];
  for (int k = 0; k < 4; ++k) tile[threadIdx.x][k] = data[k];
  __syncwarp();
  int4 v = *reinterpret_cast<int4*>(tile[data[threadIdx.x]]);
  out[threadIdx.x] = v.x + v.y + v.z + v.w;
}
// launch: 1 x 32
extern "C" __global__ void shared_vector_shifted(int* data, int* out, int* gone) {
  alignas(16) __shared__ float row[64];
  row[threadIdx.x] = 1;
  row[threadIdx.x + 32] = 2;
  __syncwarp();
  float2 v = *reinterpret_cast<float2*>(row + threadIdx.x);  // finds: misaligned
  out[threadIdx.x] = static_cast<int>(v.x + v.y);
}
