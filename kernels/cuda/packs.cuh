// 16 bytes by one access. A struct of four numbers may be split into four accesses by the compiler; a built-in vector is not.
#pragma once

#include <cstring>

#include <gradus/kernels/cuda/launch.cuh>

namespace gradus::inline v0::cuda {

template <class T> __device__ inline Pack<T> read_pack(const T* from) {
  const uint4 bits = *reinterpret_cast<const uint4*>(from);
  Pack<T> pack;
  memcpy(&pack, &bits, sizeof pack);
  return pack;
}
/// To global memory. In PTX: nvcc 13.0 splits the store of a vector into four where it fails to see that their addresses are neighbours.
template <class T> __device__ inline void write_pack(T* to, const Pack<T>& pack) {
  uint4 bits;
  memcpy(&bits, &pack, sizeof bits);
#if defined(__CUDA_ARCH__)
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(__cvta_generic_to_global(to)), "r"(bits.x), "r"(bits.y), "r"(bits.z), "r"(bits.w)
               : "memory");
#else
  *reinterpret_cast<uint4*>(to) = bits;
#endif
}
template <class T> __device__ inline void write_shared_pack(T* to, const Pack<T>& pack) { *reinterpret_cast<Pack<T>*>(to) = pack; }

/// kPack neighbours: by one access if kWhole.
template <int kPack, bool kWhole, class T> __device__ inline void load_pack(T* to, const T* from) {
  if constexpr (kWhole) {
    const Pack<T> pack = read_pack(from);
#pragma unroll
    for (int j = 0; j < kPack; ++j) to[j] = pack.value[j];
  } else {
#pragma unroll
    for (int j = 0; j < kPack; ++j) to[j] = from[j];
  }
}
template <int kPack, bool kWhole, class T> __device__ inline void store_pack(T* to, const T* from) {
  if constexpr (kWhole) {
    Pack<T> pack;
#pragma unroll
    for (int j = 0; j < kPack; ++j) pack.value[j] = from[j];
    write_pack(to, pack);
  } else {
#pragma unroll
    for (int j = 0; j < kPack; ++j) to[j] = from[j];
  }
}

}  // namespace gradus::inline v0::cuda
