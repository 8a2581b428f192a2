// A host program that reads or writes through a device pointer faults here as it would with a GPU; this says where.
#pragma once

namespace gradus::emulator::runtime {

/// Installs the SIGSEGV handler, if it is not there (any more: test frameworks install their own). Faults outside device pages go to the
/// handler that was there before.
void catch_host_access();

}  // namespace gradus::emulator::runtime
