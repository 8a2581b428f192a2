#!/usr/bin/env bash
# ./dev emulate, end to end: planted programs and their clean twins, options, exit codes. Needs nvcc; usage: emulate_test.sh EMULATE LIBRARY
set -uo pipefail
emulate=$1
export GRADUS_EMULATOR_LIBRARY=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then echo "SKIP: nvcc is not here"; exit 0; fi

fail() { printf 'FAILED: %s\n' "$*"; sed 's/^/    /' "$work/err" | head -n 20; failures=$((failures + 1)); }

run() { "$emulate" "$@" >"$work/out" 2>"$work/err"; status=$?; }

# ---- planted programs: the kind at the line that is marked, and nothing in the twin

check_program() {  # check_program FILE: says on stdout what is wrong
  local program=$1 name kind line seed status err=$work/$(basename "$1").err
  name=$(basename "$program")
  kind=$(grep -oE '// expect: [a-z-]+' "$program" | head -n 1 | cut -d' ' -f3)
  line=$(grep -nE '// expect: ' "$program" | head -n 1 | cut -d: -f1)
  wrong() { printf 'FAILED: %s: %s\n' "$name" "$*"; sed 's/^/    /' "$err" | head -n 20; }
  for seed in 0 3; do
    if [ $seed = 0 ]; then "$emulate" "$program" -o "$work/$name.program" >"$err.out" 2>"$err"; status=$?
    else GRADUS_EMULATOR_SEED=$seed "$work/$name.program" >"$err.out" 2>"$err"; status=$?; fi
    [ $status = 86 ] || wrong "seed $seed: exit code $status instead of 86"
    grep -qE "$name:$line: $kind: " "$err" || wrong "seed $seed: no $kind at line $line"
    [ "$(grep -cE '^[^ ]+:[0-9]+: [a-z-]+: ' "$err")" = 1 ] || wrong "seed $seed: more than one finding"
  done
  "$emulate" "$program" -DCLEAN >"$err.out" 2>"$err"; status=$?
  [ $status = 0 ] || wrong "the clean twin ends with $status"
  if grep -qE '^[^ ]+:[0-9]+: [a-z-]+: ' "$err"; then wrong "the clean twin has a finding"; fi
}
export -f check_program
export emulate work
printf '%s\n' "$here"/planted/programs/*.cu | xargs -P 2 -I{} bash -c 'check_program {}' >"$work/planted"
cat "$work/planted"
failures=$(grep -c '^FAILED: ' "$work/planted")

# ---- the driver

cat >"$work/echo.cu" <<'CU'
#include <cstdio>
#include <cstdlib>
#include <string>
__global__ void say(int n) { printf("kernel says %d\n", n); }
int main(int argc, char** argv) {
  say<<<1, 1>>>(argc > 1 ? std::stoi(argv[1]) : VALUE);
  cudaDeviceSynchronize();
  return argc > 2 ? std::atoi(argv[2]) : 0;
}
CU
run "$work/echo.cu" -DVALUE=5
[ $status = 0 ] && grep -qx 'kernel says 5' "$work/out" || fail "a define reaches nvcc"
grep -q 'Clean here is not clean on silicon' "$work/err" || fail "the footer says what clean means"
run "$work/echo.cu" -DVALUE=5 -arch=sm_75 -- 17 3
[ $status = 3 ] && grep -qx 'kernel says 17' "$work/out" || fail "arguments and exit code of the program"
cat >"$work/wide.cu" <<'CU'
__global__ void add(float* out) {
  __shared__ float tile[8][4];
  tile[threadIdx.x / 4][threadIdx.x % 4] = 1;
  __syncthreads();
  float4 v = *reinterpret_cast<float4*>(tile[threadIdx.x / 4]);
  out[threadIdx.x] = v.x + v.y + v.z + v.w;
}
int main() {
  float* out;
  cudaMalloc(&out, 128);
  add<<<1, 32>>>(out);
  return cudaDeviceSynchronize();
}
CU
run "$work/wide.cu"
[ $status = 0 ] && [ "$(grep -c 'wide.cu:5: note: misaligned: ' "$work/err")" = 1 ] || fail "a declared alignment that the sizes make good is a note"
run "$work/echo.cu" -DVALUE=5 --seeds 3
[ $status = 0 ] && [ "$(grep -c 'kernel says 5' "$work/out")" = 1 ] || fail "--seeds prints once"
run "$work/echo.cu" -DVALUE=5 --count "$work/count.json"
[ $status = 0 ] && grep -q 'warp_instructions' "$work/count.json" || fail "--count writes JSON"
run "$work/echo.cu"
[ $status = 2 ] && grep -q 'VALUE' "$work/err" || fail "nvcc's errors are shown"
run "$work/absent.cu"
[ $status = 2 ] || fail "a missing file"
run --help
[ $status = 0 ] && grep -q 'usage' "$work/out" || fail "--help"

cat >"$work/order.cu" <<'CU'
#include <cstdio>
__global__ void last(int* out) { atomicExch(out, blockIdx.x); }
int main() {
  int *out, host;
  cudaMalloc(&out, sizeof(int));
  cudaMemset(out, 0, sizeof(int));
  last<<<64, 32>>>(out);
  cudaMemcpy(&host, out, sizeof(int), cudaMemcpyDeviceToHost);
  printf("%d\n", host);
}
CU
run "$work/order.cu" --seeds 4
[ $status = 1 ] && grep -q 'prints something else' "$work/err" || fail "--seeds finds a result that depends on the order of blocks"

cat >"$work/in_place.cu" <<'CU'
#include <cstdio>
#include <thrust/device_vector.h>
#include <thrust/tabulate.h>
#include <thrust/unique.h>
struct Third {
  __host__ __device__ int operator()(int i) const { return i / 3; }
};
int main() {
  thrust::device_vector<int> values(6000);
  thrust::tabulate(values.begin(), values.end(), Third());
  const auto end = thrust::unique(values.begin(), values.end());
  printf("%d values, the last is %d\n", static_cast<int>(end - values.begin()), static_cast<int>(end[-1]));
}
CU
run "$work/in_place.cu"
[ $status = 0 ] && grep -qx '2000 values, the last is 1999' "$work/out" || fail "thrust::unique in place is no race: a tile's status follows its loads"

cat >"$work/texture.cu" <<'CU'
__global__ void look(cudaTextureObject_t t, float* out) {
  out[threadIdx.x] = tex1Dfetch<float>(t, threadIdx.x);
}
int main() { look<<<1, 32>>>(0, nullptr); }
CU
run "$work/texture.cu"
[ $status = 1 ] && grep -qE 'texture.cu:2: error: .*unsupported' "$work/err" || fail "an unsupported instruction is named with its source line"

cat >"$work/nested.cu" <<'CU'
__global__ void child() {}
__global__ void parent() { child<<<1, 1>>>(); }
int main() { parent<<<1, 1>>>(); }
CU
run "$work/nested.cu" -rdc=true -lcudadevrt
[ $status = 2 ] && grep -qE 'nested.cu:2: .*dynamic parallelism' "$work/err" || fail "dynamic parallelism is named with its source line"

cat >"$work/blas.cu" <<'CU'
extern "C" int cufftExecC2C(int);
int main() { return cufftExecC2C(0); }
CU
run "$work/blas.cu" -lcufft
[ $status = 2 ] && grep -q 'the emulator does not have: cufftExecC2C' "$work/err" || fail "a missing library function is named"

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
