// Functions that the device's runtime provides: vprintf, __assertfail, malloc, free.
#include <cstdio>
#include <cstring>
#include <map>

#include <gradus/kernels/emulator/exec/call.h>
#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {
namespace {

constexpr int kIllegalAddress = 700, kAssert = 710;
constexpr std::size_t kMaxText = 1 << 16;

/// The bytes behind a generic address, and how many may be read from there.
const std::byte* readable(const Warp& warp, int lane, std::uint64_t address, std::size_t* available) {
  const Block& block = *warp.block;
  const std::uint64_t offset = address & ~kWindowMask;
  const std::byte* base = nullptr;
  std::uint64_t size = 0, at = offset;
  if ((address & kWindowMask) == kLocalWindow) {
    const std::uint64_t thread = std::uint64_t{warp.index} * kLanes + static_cast<std::uint64_t>(lane);
    base = block.local.data() + thread * block.local_stride;
    size = block.local_stride;
  } else if ((address & kWindowMask) == kSharedWindow) {
    base = block.shared.data();
    size = block.shared.size();
  } else if (const Allocation* allocation = DeviceMemory::instance().find(address); allocation && !allocation->freed) {
    base = DeviceMemory::instance().at(allocation->base);
    size = allocation->bytes;
    at = address - allocation->base;
  }
  if (at >= size) throw DeviceException{kIllegalAddress, "printf or assert of a bad pointer by " + thread_name(warp, lane)};
  *available = static_cast<std::size_t>(size - at);
  return base + at;
}

std::string read_string(const Warp& warp, int lane, std::uint64_t address) {
  if (address == 0) return "(null)";
  std::size_t available = 0;
  const auto* text = reinterpret_cast<const char*>(readable(warp, lane, address, &available));
  return std::string(text, strnlen(text, std::min(available, kMaxText)));
}

/// Arguments of a printf, one after another as the compiler stores them: each at a multiple of its size.
class Arguments {
 public:
  Arguments(const Warp& warp, int lane, std::uint64_t address) {
    if (address) data_ = readable(warp, lane, address, &available_);
  }
  template <class T> T next() {
    at_ = (at_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    T value{};
    if (at_ + sizeof(T) <= available_) std::memcpy(&value, data_ + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

 private:
  const std::byte* data_ = nullptr;
  std::size_t available_ = 0, at_ = 0;
};

template <class T> std::string print_one(const std::string& directive, T value) {
  const int length = std::snprintf(nullptr, 0, directive.c_str(), value);
  if (length <= 0) return {};
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::snprintf(text.data(), text.size(), directive.c_str(), value);
  text.pop_back();
  return text;
}

/// One directive, `%` to its letter; `wide`: 64-bit integers.
std::string print_directive(const Warp& warp, int lane, std::string directive, char letter, bool wide, Arguments& arguments) {
  switch (letter) {
    case 'd':
    case 'i':
      directive += wide ? "ll" : "";
      directive += letter;
      return wide ? print_one(directive, arguments.next<long long>()) : print_one(directive, arguments.next<int>());
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      directive += wide ? "ll" : "";
      directive += letter;
      return wide ? print_one(directive, arguments.next<unsigned long long>()) : print_one(directive, arguments.next<unsigned>());
    case 'c': return print_one(directive + letter, arguments.next<int>());
    case 'p': return print_one(directive + letter, reinterpret_cast<void*>(arguments.next<std::uint64_t>()));
    case 's': return print_one(directive + letter, read_string(warp, lane, arguments.next<std::uint64_t>()).c_str());
    default: return print_one(directive + letter, arguments.next<double>());
  }
}

/// Formats as CUDA's printf does: flags, width, precision (numbers or *), sizes hh h l ll z j t.
std::string format_text(const Warp& warp, int lane, const std::string& format, std::uint64_t address, int* converted) {
  Arguments arguments(warp, lane, address);
  std::string text;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      text += format[i];
      continue;
    }
    const std::size_t begin = i++;
    std::string directive = "%";
    bool wide = false;
    for (; i < format.size() && std::strchr("-+ #0123456789.*hlzjt", format[i]); ++i) {
      if (format[i] == '*') directive += std::to_string(arguments.next<int>());
      else if (std::strchr("hlzjt", format[i])) wide = wide || format[i] != 'h';
      else directive += format[i];
    }
    const char letter = i < format.size() ? format[i] : '\0';
    if (letter == '%') {
      text += '%';
    } else if (letter && std::strchr("diuxXocpsfFeEgGaA", letter)) {
      text += print_directive(warp, lane, directive, letter, wide, arguments);
      ++*converted;
    } else {
      text += format.substr(begin, i - begin + 1);
    }
  }
  return text;
}

void do_vprintf(Warp& warp, const CallSite& site, Mask active) {
  for_lanes(active, [&](int l) {
    int converted = 0;
    const std::string format = read_string(warp, l, site.argument<std::uint64_t>(warp, 0, l));
    const std::string text = format_text(warp, l, format, site.argument<std::uint64_t>(warp, 1, l), &converted);
    std::fwrite(text.data(), 1, text.size(), stdout);
    site.give_back(warp, l, converted);
  });
}

std::string triple(const std::uint32_t (&v)[3]) {
  return "[" + std::to_string(v[0]) + "," + std::to_string(v[1]) + "," + std::to_string(v[2]) + "]";
}

void do_assertfail(Warp& warp, const CallSite& site, Mask active) {
  const auto& s = *reinterpret_cast<const Specials*>(warp.specials);
  std::string last;
  for_lanes(active, [&](int l) {
    const auto text = [&](std::size_t i) { return read_string(warp, l, site.argument<std::uint64_t>(warp, i, l)); };
    const std::uint32_t thread[3] = {s.tid[0][l], s.tid[1][l], s.tid[2][l]};
    last = text(1) + ":" + std::to_string(site.argument<std::uint32_t>(warp, 2, l)) + ": " + text(3) +
           ": block: " + triple(warp.block->id) + ", thread: " + triple(thread) + " Assertion `" + text(0) + "` failed.";
    std::fprintf(stderr, "%s\n", last.c_str());
  });
  throw DeviceException{kAssert, last};
}

void do_malloc(Warp& warp, const CallSite& site, Mask active) {
  for_lanes(active, [&](int l) {
    const auto bytes = site.argument<std::uint64_t>(warp, 0, l);
    site.give_back(warp, l, DeviceMemory::instance().allocate(bytes, AllocationKind::device, "malloc in a kernel"));
  });
  ++warp.block->progress;
}

void do_free(Warp& warp, const CallSite& site, Mask active) {
  for_lanes(active, [&](int l) {
    const auto address = site.argument<std::uint64_t>(warp, 0, l);
    if (address && DeviceMemory::instance().free(address) != DeviceMemory::FreeResult::ok)
      report(Kind::freed, warp, warp.current->frame->code->instructions[warp.current->pc], l,
             "free() of what is no live allocation, by " + thread_name(warp, l));
  });
  ++warp.block->progress;
}

}  // namespace

bool IntrinsicFunction::accepts(const CallSite& site) const {
  if (site.arguments.size() < arguments.size()) return false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (site.arguments[i].bytes < arguments[i]) return false;
  }
  return site.returns.empty() || site.returns[0].bytes >= result;
}

const IntrinsicFunction* find_intrinsic(const std::string& name) {
  static const std::map<std::string, IntrinsicFunction> all = {{"vprintf", {do_vprintf, {8, 8}, 4}},
                                                               {"__assertfail", {do_assertfail, {8, 8, 4, 8}, 0}},
                                                               {"malloc", {do_malloc, {8}, 8}},
                                                               {"free", {do_free, {8}, 0}}};
  const auto it = all.find(name);
  return it == all.end() ? nullptr : &it->second;
}

}  // namespace gradus::emulator
