#include <gradus/algorithms/experiments/program/run.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <optional>

#include <gradus/algorithms/experiments/program/checkpoint.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/interrupt.h>
#include <gradus/algorithms/experiments/program/log.h>
#include <gradus/algorithms/experiments/program/progress.h>
#include <gradus/algorithms/experiments/program/result.h>
#include <gradus/engine/memory.h>
#include <gradus/kernels/version.h>

namespace gradus::experiments {
namespace {
double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
}
}
