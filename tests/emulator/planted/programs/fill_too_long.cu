// cudaMemset counts elements where it takes bytes, in a buffer of bytes; and the other way round it would only do too little.
#include <cstdio>

int main() {
  const int n = 1000;
  unsigned char* flags;
  cudaMalloc(&flags, n);
#ifdef CLEAN
  cudaMemset(flags, 0, n);
#else
  cudaMemset(flags, 0, n * sizeof(int));  // expect: out-of-bounds
#endif
  cudaFree(flags);
  std::printf("done\n");
}
