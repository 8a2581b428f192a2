#include <gradus/kernels/cpu/broadcast.h>
#include <gradus/kernels/cpu/optimizer_table.h>
#include <gradus/kernels/cpu/reduce_table.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cpu {
namespace {

const OptimizerPieces& pieces(DType dtype) {
  GRADUS_ASSERT(is_floating(dtype));
  return optimizer_table().of[dtype == DType::f64];
}

/// Element i of an array, or null where it is absent.
void* at(const Array& x, std::int64_t i) {
  return x.data ? static_cast<char*>(x.data) + i * static_cast<std::int64_t>(size_of(x.dtype)) : nullptr;
}
const void* at(const ConstArray& x, std::int64_t i) {
  return x.data ? static_cast<const char*>(x.data) + i * static_cast<std::int64_t>(size_of(x.dtype)) : nullptr;
}

}  // namespace

void sgd(Array parameter, Array momentum, ConstArray gradient, ConstArray mask, const SgdStep& step) {
  const auto piece = pieces(parameter.dtype).sgd;
  in_chunks(parameter.elements(),
            [&](std::int64_t i, std::int64_t n) { piece(n, at(parameter, i), at(momentum, i), at(gradient, i), at(mask, i), step); });
}

void adam(Array parameter, Array m, Array v, ConstArray gradient, ConstArray mask, const AdamStep& step) {
  const auto piece = pieces(parameter.dtype).adam;
  in_chunks(parameter.elements(),
            [&](std::int64_t i, std::int64_t n) { piece(n, at(parameter, i), at(m, i), at(v, i), at(gradient, i), at(mask, i), step); });
}

void ema(Array target, ConstArray source, double decay) {
  const auto piece = pieces(target.dtype).ema;
  in_chunks(target.elements(), [&](std::int64_t i, std::int64_t n) { piece(n, at(target, i), at(source, i), decay); });
}

double squared_norm(ConstArray x) {
  const auto piece = pieces(x.dtype).squared_norm;
  const std::int64_t elements = x.elements(), chunks = (elements + kElementChunk - 1) / kElementChunk;
  if (chunks <= 1) return piece(elements, x.data);
  constexpr std::int64_t kGroup = 64;  // chunks whose partial sums wait on the stack for their turn
  PairwiseSum sum;
  for (std::int64_t group = 0; group < chunks; group += kGroup) {
    const std::int64_t count = chunks - group < kGroup ? chunks - group : kGroup;
    double partial[kGroup];
    parallel_for(count, [&](std::int64_t c) {
      const std::int64_t begin = (group + c) * kElementChunk, rest = elements - begin;
      partial[c] = piece(rest < kElementChunk ? rest : kElementChunk, at(x, begin));
    });
    for (std::int64_t c = 0; c < count; ++c) sum.add(partial[c]);
  }
  return sum.total();
}

void scale(Array x, double factor) { affine(x, x, factor, 0); }

void sgd_many(const SgdItem* items, int count) {
  for (int i = 0; i < count; ++i) sgd(items[i].parameter, items[i].momentum, items[i].gradient, items[i].mask, items[i].step);
}
void adam_many(const AdamItem* items, int count) {
  for (int i = 0; i < count; ++i) adam(items[i].parameter, items[i].m, items[i].v, items[i].gradient, items[i].mask, items[i].step);
}
void ema_many(const EmaItem* items, int count, double decay) {
  for (int i = 0; i < count; ++i) ema(items[i].target, items[i].source, decay);
}
double squared_norm_many(const ConstArray* xs, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += squared_norm(xs[i]);
  return sum;
}
void scale_many(const Array* xs, int count, double factor) {
  for (int i = 0; i < count; ++i) scale(xs[i], factor);
}

}  // namespace gradus::inline v0::cpu
