// The host may not change pinned memory that a queued copy will still read, nor look at what one will still write: pages that lie wholly
// in such a copy's range are taken from the host until it has waited for the copy, and a touch of them faults (host_access.cpp).
//
// What a kernel touches is known only when it runs, and a host may share memory with a running kernel. So managed memory is taken from the
// host while a kernel is queued, a touch gives it back at once, and if that kernel then turns out to write to the byte that the host
// touched (or to read one that it wrote), without an atomic or volatile access, that is a finding.
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
std::string give_up_guard(std::uint64_t address, bool write, const CallSite& site);

/// Around a kernel's run: keeps an eye on what the host has touched since it was queued.
void watch_touched_bytes(const Operation& kernel);
void report_met_bytes(const Operation& kernel);
/// Nothing that the host could have disturbed is queued any more.
void forget_touched_bytes();

}  // namespace gradus::emulator::runtime
