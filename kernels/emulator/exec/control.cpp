// Control flow: bra, brx.idx, call, ret, exit, trap, nanosleep.
#include <algorithm>
#include <cstring>

#include <gradus/kernels/emulator/exec/call.h>
#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>

namespace gradus::emulator {

std::byte* caller_value(const Frame& frame, const std::byte* specials, const CallValue& value, int lane) {
  const auto l = static_cast<std::size_t>(lane);
  if (value.in_register) {
    const std::byte* const bases[] = {frame.registers, frame.code->constants.data(), specials};  // by Ref::Base
    return const_cast<std::byte*>(bases[value.ref.base]) + value.ref.offset + l * value.bytes;
  }
  using Area = Decoder::ParameterPlace::Area;
  switch (value.place.area) {
    case Area::kernel: return frame.parameters + value.place.offset;
    case Area::activation: return frame.parameters + l * frame.code->parameter_stride + value.place.offset;
    case Area::call: break;
  }
  return frame.registers + frame.code->call_parameters_at + l * frame.code->call_parameter_stride + value.place.offset;
}

void copy_returns(const Frame& frame, Mask lanes) {
  const Frame& caller = *frame.caller;
  const auto& site = *static_cast<const CallSite*>(caller.code->instructions[frame.return_pc - 1].extra);
  const auto& returns = frame.code->function->returns;
  for (std::size_t i = 0; i < site.returns.size() && i < returns.size(); ++i) {
    const std::size_t bytes = std::min<std::size_t>(site.returns[i].bytes, returns[i].bytes);
    for_lanes(lanes, [&](int l) {
      const std::byte* from =
          frame.parameters + static_cast<std::size_t>(l) * frame.code->parameter_stride + frame.code->returns_at + returns[i].offset;
      std::memcpy(caller_value(caller, nullptr, site.returns[i], l), from, bytes);
    });
  }
}

namespace {

constexpr int kInvalidPc = 718, kLaunchFailure = 719;
constexpr std::uint32_t kMaxDepth = 8192;  // of calls: far beyond what a device's stack holds

Flow run_bra(Warp& warp, const Decoded& d, Mask active) {
  Fragment& current = *warp.current;
  const auto target = static_cast<std::uint32_t>(d.immediate);
  if (active == current.lanes) {
    current.pc = target;
    return Flow::jumped;
  }
  divert(warp, active, current.frame, target);
  ++current.pc;
  return Flow::left;
}

Flow run_brx(Warp& warp, const Decoded& d, Mask active) {
  if (leave_inactive_behind(warp, active)) active = warp.current->lanes;
  const auto& table = *static_cast<const std::vector<std::uint32_t>*>(d.extra);
  const auto* index = warp.lanes_of<std::uint32_t>(d.a);
  while (active) {
    const std::uint32_t i = index[first_lane(active)];
    if (i >= table.size()) throw DeviceException{kLaunchFailure, "brx.idx: index " + std::to_string(i) + " outside its table"};
    Mask same = 0;
    for_lanes(active, [&](int l) { same |= index[l] == i ? Mask{1} << l : 0; });
    divert(warp, same, warp.current->frame, table[i]);
    active &= ~same;
  }
  return Flow::left;
}

/// The lanes get a frame of the callee and go on there.
void enter_function(Warp& warp, const CallSite& site, const Code* code, Mask lanes) {
  Launch& launch = launch_of(warp);
  Frame& caller = *warp.current->frame;
  if (caller.depth >= kMaxDepth)
    throw DeviceException{kLaunchFailure, "stack overflow: " + std::to_string(kMaxDepth) + " nested calls of " + code->function->name};
  FrameRun* frame = launch.acquire(code);
  frame->caller = &caller;
  frame->return_pc = warp.current->pc + 1;
  frame->lanes = lanes;
  frame->depth = caller.depth + 1;
  frame->local_base = caller.local_base + (caller.code->function->local_bytes + 15) / 16 * 16;
  if (frame->local_base + code->function->local_bytes > warp.block->local_stride)
    throw DeviceException{kLaunchFailure, "stack overflow: local memory of nested calls of " + code->function->name};
  const auto& parameters = code->function->parameters;
  for (std::size_t i = 0; i < site.arguments.size() && i < parameters.size(); ++i) {
    const std::size_t bytes = std::min<std::size_t>(site.arguments[i].bytes, parameters[i].bytes);
    for_lanes(lanes, [&](int l) {
      std::memcpy(frame->parameters + static_cast<std::size_t>(l) * code->parameter_stride + parameters[i].offset,
                  caller_value(caller, warp.specials, site.arguments[i], l), bytes);
    });
  }
  divert(warp, lanes, frame, 0);
}

Flow run_call(Warp& warp, const Decoded& d, Mask active) {
  leave_inactive_behind(warp, active);
  const auto& site = *static_cast<const CallSite*>(d.extra);
  enter_function(warp, site, site.code, active);
  return Flow::left;
}

Flow run_intrinsic(Warp& warp, const Decoded& d, Mask active) {
  const auto& site = *static_cast<const CallSite*>(d.extra);
  site.intrinsic(warp, site, active);
  return Flow::next;
}

Flow run_indirect_call(Warp& warp, const Decoded& d, Mask active) {
  leave_inactive_behind(warp, active);
  const auto& site = *static_cast<const CallSite*>(d.extra);
  const auto* targets = warp.lanes_of<std::uint64_t>(d.a);
  while (active) {
    const std::uint64_t target = targets[first_lane(active)];
    Mask same = 0;
    for_lanes(active, [&](int l) { same |= targets[l] == target ? Mask{1} << l : 0; });
    const Callee callee = callee_of(target);
    if (!callee.code || !callee.function->has_body)
      throw DeviceException{kInvalidPc, "call through a pointer that is no function's, by " + thread_name(warp, first_lane(active))};
    enter_function(warp, site, callee.code, same);
    active &= ~same;
  }
  return Flow::left;
}

Flow run_ret(Warp& warp, const Decoded&, Mask active) {
  leave_inactive_behind(warp, active);
  return_lanes(warp, active);
  return Flow::left;
}

Flow run_exit(Warp& warp, const Decoded&, Mask active) {
  leave_inactive_behind(warp, active);
  exit_lanes(warp, active);
  return Flow::left;
}

Flow run_trap(Warp& warp, const Decoded& d, Mask active) {
  throw DeviceException{kLaunchFailure, "trap at " + place_of(warp, d) + " by " + thread_name(warp, first_lane(active))};
}

Flow run_nothing(Warp&, const Decoded&, Mask) { return Flow::next; }

void select_bra(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  expect_operands(decoder, i, 1);
  if (i.operands[0].kind != ptx::Operand::Kind::label) decoder.unsupported("the target must be a label");
  out.instruction_class = kControl;
  out.immediate = i.operands[0].index;
  out.run = run_bra;
}

void select_brx(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!i.has("idx") || i.operands.size() != 2) decoder.unsupported("only brx.idx with a list of targets is known");
  out.instruction_class = kControl;
  out.a = decoder.source(i.operands[0], ptx::Type::u32);
  out.extra = decoder.keep(decoder.function->branch_tables.at(static_cast<std::size_t>(i.operands[1].index)));
  out.run = run_brx;
}

CallValue bind_value(Decoder& decoder, const ptx::Operand& operand, const ptx::Variable* declared) {
  CallValue value;
  using Kind = ptx::Operand::Kind;
  if (operand.kind == Kind::symbol || operand.kind == Kind::memory) {
    const auto& function = *decoder.function;
    const auto index = static_cast<std::size_t>(operand.symbol_index);
    if (operand.symbol == ptx::Operand::Symbol::function_variable)
      value.bytes = static_cast<std::uint32_t>(function.variables.at(index).bytes);
    else if (declared) value.bytes = static_cast<std::uint32_t>(declared->bytes);
    value.place = decoder.parameter_place(operand, value.bytes);
    return value;
  }
  value.in_register = true;
  const ptx::Type type = declared ? declared->type : ptx::Type::b32;
  value.bytes = static_cast<std::uint32_t>(ptx::bytes_of(type));
  if (operand.kind == Kind::reg) value.bytes = static_cast<std::uint32_t>(decoder.register_bytes(operand));
  value.ref = decoder.source(operand, type);
  return value;
}

std::vector<CallValue> bind_values(Decoder& decoder, const ptx::Operand& list, const std::vector<ptx::Variable>* declared) {
  std::vector<CallValue> values;
  for (std::size_t i = 0; i < list.elements.size(); ++i)
    values.push_back(bind_value(decoder, list.elements[i], declared && i < declared->size() ? &(*declared)[i] : nullptr));
  return values;
}

void select_call(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (i.operands.size() < 3) decoder.unsupported("a call without the lists of its values");
  out.instruction_class = kControl;
  const ptx::Operand& callee = i.operands[1];
  const bool direct = callee.kind == ptx::Operand::Kind::symbol && callee.symbol == ptx::Operand::Symbol::function;
  const ptx::Function* function = direct ? decoder.module->functions.at(static_cast<std::size_t>(callee.symbol_index)).get() : nullptr;
  CallSite site;
  site.returns = bind_values(decoder, i.operands[0], function ? &function->returns : nullptr);
  site.arguments = bind_values(decoder, i.operands[2], function ? &function->parameters : nullptr);
  if (!direct) {
    out.a = decoder.source(callee, ptx::Type::u64);
    out.run = run_indirect_call;
  } else if (function->has_body) {
    site.code = decoder.code_of(function);
    out.run = run_call;
  } else {
    const IntrinsicFunction* intrinsic = find_intrinsic(function->name);
    if (intrinsic == nullptr)
      decoder.unsupported(
          "`" + function->name +
          "` has no body here: dynamic parallelism, and device functions of other translation units (-rdc), are outside this emulator");
    if (!intrinsic->accepts(site)) decoder.unsupported("`" + function->name + "` is called with other values than it has");
    site.intrinsic = intrinsic->run;
    out.run = run_intrinsic;
  }
  out.extra = decoder.keep(std::move(site));
}

template <Handler run> void select_plain(Decoder&, const ptx::Instruction&, Decoded& out) {
  out.instruction_class = kControl;
  out.run = run;
}

/// Sleeps as long as the lane that sleeps longest, a millisecond at most.
Flow run_nanosleep(Warp& warp, const Decoded& d, Mask active) {
  constexpr std::uint32_t kLongest = 1'000'000;
  const auto* asked = warp.lanes_of<std::uint32_t>(d.a);
  std::uint32_t longest = 0;
  for_lanes(active, [&](int l) { longest = std::max(longest, asked[l]); });
  launch_of(warp).slept += std::min(longest, kLongest);
  return Flow::yields;
}

void select_nanosleep(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  out.instruction_class = kControl;
  out.a = decoder.source(i.operands.at(0), ptx::Type::u32);
  out.run = run_nanosleep;
}

}  // namespace

void register_control() {
  add_selector("bra", select_bra);
  add_selector("brx", select_brx);
  add_selector("call", select_call);
  add_selector("ret", select_plain<run_ret>);
  add_selector("exit", select_plain<run_exit>);
  add_selector("trap", select_plain<run_trap>);
  add_selector("brkpt", select_plain<run_nothing>);
  add_selector("pmevent", select_plain<run_nothing>);
  add_selector("nanosleep", select_nanosleep);
}

}  // namespace gradus::emulator
