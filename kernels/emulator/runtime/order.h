// The stream-order check: two operations that touch the same bytes, one of them writing, must be ordered by streams, events or the host.
#pragma once

#include <vector>

#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

/// Compares the accesses of an operation that is about to run (or has just run) with those remembered, and remembers them.
void check_order(const OperationPtr& operation, const std::vector<Access>& accesses);
/// The same for a kernel in flight: reads what the machine has collected since the launch began.
void check_order_of_launch(Operation& operation);
/// Drops what everything to come is ordered after anyway.
void forget_ordered(const Clock& host);
/// Forgets an allocation that is gone (its address may come back).
void forget_allocation(std::uint64_t serial);
void forget_everything();

}  // namespace gradus::emulator::runtime
