// The host fills an array that cudaMalloc gave, inside a function. The twin's array is managed.
#include <cstdio>

struct Vector {
  float* data;
  int size;
};

__global__ void sum(Vector v, float* total) {
  float s = 0;
  for (int i = 0; i < v.size; ++i) s += v.data[i];
  *total = s;
}

static void fill(Vector& v) {
  for (int i = 0; i < v.size; ++i) v.data[i] = 1.0f;  // expect: host-access
}

int main() {
  Vector v{nullptr, 100};
  float* total;
#ifdef CLEAN
  cudaMallocManaged(&v.data, v.size * sizeof(float));
#else
  cudaMalloc(&v.data, v.size * sizeof(float));
#endif
  cudaMallocManaged(&total, sizeof(float));
  fill(v);
  sum<<<1, 1>>>(v, total);
  cudaDeviceSynchronize();
  std::printf("%g\n", *total);
}
