// The host may not change pinned memory that a queued copy will still read, nor look at what one will still write: pages that lie wholly
// in such a copy's range are taken from the host until it has waited for the copy, and a touch of them faults (host_access.cpp).
//
// Kernels are not looked at: what they touch is known only when they run, and a host may share memory with a running kernel.
#pragma once

#include <cstdint>
#include <string>

#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

/// An operation has been queued.
void guard_host_pages(const Operation& operation);
/// The host has waited up to here.
void release_guards(const Clock& host);
/// Nothing is queued any more.
void drop_guards();

/// For the handler of faults: gives the pages of the copy that holds this address back and says what the host disturbs; "" if no copy does.
std::string give_up_guard(std::uint64_t address, bool write);

}  // namespace gradus::emulator::runtime
