// One array is freed twice through two structures that share it; nobody looks at what cudaFree returns. The twin frees it once.
#include <cstdio>

struct Field {
  float* values;
};

static void destroy(Field& f) {
  cudaFree(f.values);  // expect: freed
}

int main() {
  Field density{}, copy;
  cudaMalloc(&density.values, 1000 * sizeof(float));
  cudaMemset(density.values, 0, 1000 * sizeof(float));
  copy = density;
  destroy(density);
#ifdef CLEAN
  copy.values = nullptr;
#endif
  destroy(copy);
  std::printf("done\n");
}
