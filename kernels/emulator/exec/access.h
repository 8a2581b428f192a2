// One memory instruction: what is fixed when it is decoded, and the lanes' addresses when it runs.
#pragma once

#include <cstdint>
#include <string>

#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/pattern.h>
#include <gradus/kernels/emulator/exec/shadow.h>

namespace gradus::emulator {

enum class Role : std::uint8_t { load, store, atomic };

/// A shared variable that a wide access may meet.
struct SharedVariable {
  std::uint64_t begin = 0, end = 0;
  std::uint32_t align = 1;
  std::string name;
  bool fits = false;  // in whatever order the variables are laid out, it begins at a multiple of the access's bytes
};

/// Decoded::extra of every instruction here.
struct Access {
  static constexpr int kMaxElements = 8;
  Ref values[kMaxElements];   // destinations of a load, sources of a store; an atomic: operand b
  Ref results[kMaxElements];  // of an atomic
  std::uint8_t elements = 1, element_bytes = 4, register_bytes = 4;
  std::uint32_t bytes = 4;  // elements * element_bytes
  ptx::Space space = ptx::Space::generic;
  enum class Base : std::uint8_t { none, narrow, wide } base = Base::none;  // no register, a 32-bit one, a 64-bit one (Decoded::a)
  bool symbol_in_local = false;                                             // [variable + offset] in local memory: relative to the frame
  Decoder::ParameterPlace::Area area = Decoder::ParameterPlace::Area::kernel;
  Role role = Role::load;
  Strength strength = Strength::plain;
  bool acquire = false, release = false, device_scope = true, floating = false, constant = false;
  bool unread = false;                    // nobody needs the value: an exchange that only stores, a load that was made too early (ld)
  bool asynchronous = false;              // a half of cp.async: definedness is carried, not checked; there is no value in registers
  std::uint32_t alignment = 0;            // 0: bytes
  std::vector<SharedVariable> variables;  // of the function; only for accesses wider than 4 bytes
  // The allocation that the last access met.
  mutable std::uint64_t low = 0, high = 0, generation = 0;
  mutable bool tracked = false;  // its definedness is kept
  mutable PatternMemory patterns;
};

inline const Access& access_of(const Decoded& d) { return *static_cast<const Access*>(d.extra); }

/// The lanes' addresses in one state space, and where their bytes lie: at[l] + delta.
struct Lanes {
  alignas(64) std::uint64_t at[kLanes];
  std::uint64_t delta = 0;
  Mask active = 0;
  bool contiguous = false;           // all 32 lanes, one after another
  bool aligned = false;              // every active lane to its width
  std::uint64_t low = 0, high = 0;   // smallest and largest address
  const Pattern* pattern = nullptr;  // of all 32 lanes, where they are not contiguous and it is known
  std::byte* host(int lane) const { return reinterpret_cast<std::byte*>(at[lane] + delta); }
};

/// A memory operand: fills base, area, Decoded::a and ::immediate, and resolves generic addresses of known space.
void bind_address(Decoder& decoder, const ptx::Operand& operand, Access& access, Decoded& out);
/// Reads spaces, strength, scope from the modifiers; throws unsupported at one that it does not know.
void bind_modifiers(Decoder& decoder, const ptx::Instruction& instruction, Access& access);

/// Calls body(lanes, space) once for each space (and stretch of it) that the active lanes address, with the lanes that may be served;
/// refused lanes get one call of refused(mask). The checks of bounds and alignment have been made.
using AccessBody = void (*)(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);
/// Returns the lanes that were refused.
Mask for_each_space(Warp& warp, const Decoded& d, Mask active, AccessBody body);

/// Definedness, races, counters of an access that will be made; to be called before the bytes change.
void observe(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);
/// After a store that is not contiguous: lanes of this instruction that wrote different values to one place.
void observe_after_store(Warp& warp, const Decoded& d, const Lanes& lanes);

// The parts of observe().
void check_defined(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);
void define_lanes(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);
void check_races(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);
void check_races_wide(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);  // for AVX2: see handler.h
void synchronise(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);
void count_global(Counters& counters, const Access& access, const Lanes& lanes);
void count_shared(Counters& counters, const Access& access, const Lanes& lanes);
void touch_ranges(const Access& access, const Lanes& lanes);
void meet_watched(const Access& access, const Lanes& lanes);

/// The bytes that `lane` stores.
void value_of_lane(const Warp& warp, const Access& access, int lane, std::byte* out);
/// "store of 16 bytes to shared +128 by block (0,0,0) thread (3,0,0)".
std::string access_text(const Warp& warp, const Access& access, int lane, ptx::Space space, std::uint64_t at);
/// Whether the releases that the warp has acquired cover an interval of another block; `directly`: only those that it read itself, not what
/// they had acquired in turn (much cheaper).
bool acquired_covers(const Warp& warp, std::uint32_t interval, bool directly);

}  // namespace gradus::emulator
