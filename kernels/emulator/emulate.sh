#!/usr/bin/env bash
# Compiles a CUDA program with nvcc, links it with the emulator instead of the CUDA runtime, and runs it on this machine's CPU.
# Called as `./dev emulate`; GRADUS_EMULATOR_LIBRARY names libgradus_emulator.a.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
library=${GRADUS_EMULATOR_LIBRARY:-$here/../../build/libgradus_emulator.a}

usage() {
  cat <<'TEXT'
usage: ./dev emulate FILE.cu... [option...] [nvcc option...] [-- program argument...]
  Runs a CUDA program without a GPU and reports, with the source line: accesses out of bounds, misaligned, freed or uninitialised, races,
  divergent barriers, missing __syncwarp, wrong shuffle masks, launches beyond the limits of an H100, unordered streams, host access to
  device memory. The exit code is the program's, 86 with a finding. Times are not a GPU's.
  --seed N        order of warps, blocks and independent streams (default 0)
  --seeds N       runs N times, seeds 0 to N-1; output that differs is an error (exit code 1)
  --checks WHAT   all (default), fast (bounds, limits, barriers), none
  --count FILE    writes what each kernel did as JSON: instructions, FLOPs, bytes, sectors, bank conflicts
  --keep          keeps the compiled program and its PTX, and says where
  --help          this text
TEXT
}

die() { printf 'emulate: %s\n' "$*" >&2; exit 2; }
say() { printf 'emulate: %s\n' "$*" >&2; }

# ---- the command line

seed=${GRADUS_EMULATOR_SEED:-0} seeds=0 checks=${GRADUS_EMULATOR_CHECKS:-all} count=${GRADUS_EMULATOR_COUNT:-} keep=0 output=
sources=() options=() arguments=() architectures=() register_limit=() relocatable=0

architecture() {  # architecture TEXT: remembers every virtual architecture that is named in it
  local name
  for name in $(grep -oE '(compute|sm)_[0-9]+[af]?' <<<"$1" | sed -E 's/^(sm|compute)_//'); do architectures+=("$name"); done
}

library_option() {  # library_option NAME: the emulator stands in for these; what it lacks is named when the link fails
  case $1 in
    cudart|cudart_static|cudadevrt|cuda|cublas|cublasLt|cublas_static|cublasLt_static|cudnn|cudnn_*|curand|cufft|cusparse|cusolver|nccl|npp*|nvToolsExt) ;;
    *) options+=("-l$1") ;;
  esac
}

while [ $# -gt 0 ]; do
  case $1 in
    --) shift; arguments=("$@"); break ;;
    --help|-h) usage; exit 0 ;;
    --seed|--seeds|--checks|--count|-o|-l|-rdc|-maxrregcount|--maxrregcount|-arch|--gpu-architecture|-code|--gpu-code|-gencode|--generate-code|-cudart|--cudart)
      [ $# -ge 2 ] || die "$1 needs a value"
      case $1 in
        --seed) seed=$2 ;;
        --seeds) seeds=$2 ;;
        --checks) checks=$2 ;;
        --count) count=$2 ;;
        -o) output=$2 ;;
        -l) library_option "$2" ;;
        -rdc) [ "$2" != true ] || relocatable=1 ;;
        -maxrregcount|--maxrregcount) register_limit=(-maxrregcount "$2") ;;
        -cudart|--cudart) ;;
        *) architecture "$2" ;;
      esac
      shift ;;
    --seed=*) seed=${1#*=} ;;
    --seeds=*) seeds=${1#*=} ;;
    --checks=*) checks=${1#*=} ;;
    --count=*) count=${1#*=} ;;
    --keep) keep=1 ;;
    -arch=*|--gpu-architecture=*|-code=*|--gpu-code=*|-gencode=*|--generate-code=*) architecture "$1" ;;
    -rdc=true|--relocatable-device-code=true) relocatable=1 ;;
    -rdc=false|--relocatable-device-code=false|-cudart=*|--cudart=*|-lineinfo|-g|-dlto) ;;
    -maxrregcount=*|--maxrregcount=*) register_limit=(-maxrregcount "${1#*=}") ;;
    -G|--device-debug) say "$1 left out: the emulator runs optimised PTX, with line numbers" ;;
    -c|-dc|-ptx|-cubin|-E|-shared|--shared) die "$1: emulate makes and runs a whole program" ;;
    -l*) library_option "${1#-l}" ;;
    *.cu|*.cpp|*.cc|*.cxx|*.c|*.o|*.a) sources+=("$1") ;;
    *) options+=("$1") ;;
  esac
  shift
done

case $checks in all|fast|none) ;; *) die "--checks is all, fast or none, not $checks" ;; esac
case $seed$seeds in *[!0-9]*) die "--seed and --seeds take numbers" ;; esac
[ ${#sources[@]} -gt 0 ] || { usage >&2; exit 2; }
for source in "${sources[@]}"; do [ -e "$source" ] || die "there is no $source"; done
[ -e "$library" ] || die "$library is missing: build the target gradus_emulator first"
nvcc=$(command -v nvcc || true)
if [ -z "$nvcc" ]; then nvcc=/usr/local/cuda/bin/nvcc; fi
[ -x "$nvcc" ] || die "nvcc is needed and not found, neither on PATH nor in /usr/local/cuda/bin"

# The newest PTX that was asked for and that the emulator knows (it knows up to sm_90); sm_80 if nothing was asked for.
newest=
for name in "${architectures[@]+"${architectures[@]}"}"; do
  number=${name%[af]}
  if [ "$number" -gt 90 ]; then say "sm_$name is newer than the emulator knows: compiled for sm_90"; number=90 name=90; fi
  if [ -z "$newest" ] || [ "$number" -ge "${newest%[af]}" ]; then newest=$name; fi
done
newest=${newest:-80}

folder=$(mktemp -d "${TMPDIR:-/tmp}/gradus-emulate.XXXXXX")
cleanup() { if [ "$keep" = 1 ]; then say "kept in $folder"; else rm -rf "$folder"; fi; }
trap cleanup EXIT
program=${output:-$folder/program}

# ---- compile

# Relocatable device code needs NVIDIA's linker, which knows no PTX: several sources become one, which needs no device linking.
if [ "$relocatable" = 1 ] && [ ${#sources[@]} -gt 1 ]; then
  others=()
  for source in "${sources[@]}"; do
    case $source in
      *.cu) printf '#include "%s"\n' "$(realpath "$source")" >>"$folder/together.cu" ;;
      *) others+=("$source") ;;
    esac
  done
  say "-rdc=true: the .cu files are compiled as one"
  sources=("$folder/together.cu" "${others[@]+"${others[@]}"}")
fi

compile() {
  "$nvcc" -lineinfo -g --no-compress -cudart none -gencode "arch=compute_$newest,code=compute_$newest" --keep --keep-dir "$folder" \
    "${options[@]+"${options[@]}"}" "${sources[@]}" -o "$program" "$library" -lpthread -ldl
}
if ! compile >"$folder/nvcc.log" 2>&1; then
  missing=$(grep -oE "undefined reference to \`(cu[A-Za-z]*|nccl|npp|__cuda)[A-Za-z0-9_]*" "$folder/nvcc.log" | sed 's/.*`//' | sort -u | tr '\n' ' ' || true)
  if [ -n "$missing" ]; then die "the program uses what the emulator does not have: $missing"; fi
  launch=$(grep -m1 'kernel launch from __device__ or __global__ functions' "$folder/nvcc.log" | sed -E 's/\(([0-9]+)\): error.*/:\1/' || true)
  if [ -n "$launch" ]; then die "$launch: a kernel launches a kernel (dynamic parallelism): the emulator does not have that"; fi
  cat "$folder/nvcc.log" >&2
  exit 2
fi
grep -vE '^(ld: )?$' "$folder/nvcc.log" >&2 || true

# ---- registers: ptxas is the only one who knows

resources() {
  local ptxas ptx
  ptxas=$(dirname "$(realpath "$nvcc")")/ptxas
  if [ ! -x "$ptxas" ]; then ptxas=$(command -v ptxas || true); fi
  [ -n "$ptxas" ] || return 0
  for ptx in "$folder"/*.ptx; do
    [ -e "$ptx" ] || continue
    "$ptxas" -v -arch="sm_$([[ $newest == *[af] ]] && echo "$newest" || echo 90)" "${register_limit[@]+"${register_limit[@]}"}" "$ptx" -o "$folder/unused.cubin" 2>&1 || true
  done | awk '
    /Function properties for/ { name = $NF }
    /bytes stack frame/ { stack[name] = $1; spill[name] = $5 }
    /Used [0-9]+ registers/ { for (i = 1; i <= NF; ++i) if ($i == "Used") print name, $(i + 1), spill[name] + 0, stack[name] + 0 }'
}
[ "$checks" = none ] || resources >"$folder/resources.txt"
[ ! -e "$folder/resources.txt" ] || export GRADUS_EMULATOR_RESOURCES=$folder/resources.txt

# ---- run

export GRADUS_EMULATOR_SEED=$seed GRADUS_EMULATOR_CHECKS=$checks GRADUS_EMULATOR_COUNT=$count
case $program in /*) ;; *) program=./$program ;; esac

if [ "$seeds" -le 1 ]; then
  status=0
  "$program" "${arguments[@]+"${arguments[@]}"}" || status=$?
  exit "$status"
fi

worst=0
for ((seed = 0; seed < seeds; ++seed)); do
  status=0
  GRADUS_EMULATOR_SEED=$seed "$program" "${arguments[@]+"${arguments[@]}"}" >"$folder/out.$seed" || status=$?
  if [ "$seed" = 0 ]; then cat "$folder/out.0"; first=$status; fi
  if [ "$status" = 86 ]; then worst=86; fi
  if [ "$status" != "$first" ]; then
    say "seed $seed ends with $status, seed 0 with $first: the result depends on the order of warps, blocks or streams"
    [ "$worst" = 86 ] || worst=1
  elif ! cmp -s "$folder/out.0" "$folder/out.$seed"; then
    say "seed $seed prints something else than seed 0 (the program depends on order, or prints times):"
    diff "$folder/out.0" "$folder/out.$seed" | head -n 10 >&2 || true
    [ "$worst" = 86 ] || worst=1
  elif [ "$worst" = 0 ]; then
    worst=$status
  fi
done
exit "$worst"
