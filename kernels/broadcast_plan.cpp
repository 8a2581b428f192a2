#include <gradus/kernels/broadcast_plan.h>

namespace gradus::inline v0 {
namespace {

/// The byte stride of an operand along each axis, from the innermost outwards: 0 where it lacks the axis or has it with extent 1.
struct StrideWalk {
  const Shape* shape[kMaxOperands];
  std::int64_t next[kMaxOperands];

  StrideWalk(const ConstArray* operands, int count) {
    for (int k = 0; k < count; ++k) {
      shape[k] = operands[k].shape;
      next[k] = static_cast<std::int64_t>(size_of(operands[k].dtype));
    }
  }
  std::int64_t step(int k, int axis_from_last) {
    const int axis = shape[k]->rank() - 1 - axis_from_last;
    if (axis < 0 || (*shape[k])[axis] == 1) return 0;
    const std::int64_t stride = next[k];
    next[k] *= (*shape[k])[axis];
    return stride;
  }
};

/// Whether an axis with these strides continues the plan's outermost axis for every operand.
bool continues(const BroadcastPlan& plan, int operands, const std::int64_t* stride) {
  const int last = plan.rank - 1;
  for (int k = 0; k < operands; ++k)
    if (stride[k] != plan.stride[k][last] * plan.extent[last]) return false;
  return true;
}

/// Adds an axis outside the plan's.
void add_axis(BroadcastPlan& plan, int operands, std::int64_t extent, const std::int64_t* stride) {
  plan.extent[plan.rank] = extent;
  for (int k = 0; k < operands; ++k) plan.stride[k][plan.rank] = stride[k];
  ++plan.rank;
}

}  // namespace

BroadcastPlan plan_broadcast(const Shape& y, const ConstArray* operands, int count) {
  BroadcastPlan plan;
  StrideWalk walk(operands, count);
  std::int64_t stride[kMaxOperands] = {};
  for (int axis = 0; axis < y.rank(); ++axis) {
    const std::int64_t extent = y[y.rank() - 1 - axis];
    if (extent == 1) continue;
    for (int k = 0; k < count; ++k) stride[k] = walk.step(k, axis);
    if (plan.rank > 0 && continues(plan, count, stride)) plan.extent[plan.rank - 1] *= extent;
    else add_axis(plan, count, extent, stride);
  }
  if (plan.rank == 0) add_axis(plan, count, 1, stride);  // one element in all
  for (int i = 1; i < plan.rank; ++i) plan.rows *= plan.extent[i];
  for (int k = 0; k < count; ++k) {
    if (plan.stride[k][0] == 0) plan.repeats |= 1u << k;
    for (int i = 1; i < plan.rank; ++i) plan.outer[k] |= plan.stride[k][i] != 0;
  }
  return plan;
}

}  // namespace gradus::inline v0
