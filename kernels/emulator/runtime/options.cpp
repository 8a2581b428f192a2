// GRADUS_EMULATOR_* of the environment, and the device that is imitated.
#include <cstdlib>
#include <string_view>

#include <gradus/kernels/emulator/exec/machine.h>

namespace gradus::emulator {
namespace {

const char* text_of(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* value = text_of(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

Checks checks_of(const char* name) {
  const char* value = text_of(name);
  if (value == nullptr) return Checks::all;
  const std::string_view text = value;
  if (text == "none") return Checks::none;
  if (text == "fast") return Checks::fast;
  return Checks::all;
}

Options from_environment() {
  Options o;
  o.seed = number_of("GRADUS_EMULATOR_SEED", 0);
  o.checks = checks_of("GRADUS_EMULATOR_CHECKS");
  if (const char* file = text_of("GRADUS_EMULATOR_COUNT")) o.count_file = file;
  o.count = !o.count_file.empty();
  if (const char* file = text_of("GRADUS_EMULATOR_HASH")) o.hash_file = file;
  o.architecture = static_cast<int>(number_of("GRADUS_EMULATOR_ARCH", 0));
  o.livelock_steps = number_of("GRADUS_EMULATOR_LIVELOCK_STEPS", o.livelock_steps);
  return o;
}

}  // namespace

Options& options() {
  static auto* value = new Options(from_environment());  // never destroyed: the report at exit reads it
  return *value;
}

const DeviceLimits& limits() {
  static const DeviceLimits value;
  return value;
}

}  // namespace gradus::emulator
