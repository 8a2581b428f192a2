// The tape's two listings: a table to read and a graph to draw.
#include <cstdio>

#include <gradus/engine/tape_state.h>

namespace gradus::inline v0 {
namespace {

using State = Tape::State;

std::string slot_name(const State& tape, std::uint32_t slot) {
  if (slot == detail::kNoSlot) return "const";
  return (tape.slots[slot].producer ? "%" : "w") + std::to_string(slot);
}

std::string slot_type(const State& tape, std::uint32_t slot) { return name_of(tape.slots[slot].dtype) + to_string(tape.shape_of(slot)); }

std::int64_t saved_bytes(const Entry& e) {
  std::int64_t bytes = 0;
  for (int i = 0; i < e.saved_count; ++i)
    if (e.saved_tensors[i].tensor) bytes += e.saved_tensors[i].tensor.bytes();
  return bytes;
}

std::string inputs_text(const State& tape, const Entry& e) {
  std::string text;
  for (std::uint32_t i = 0; i < e.input_count; ++i) text += (i ? ", " : "") + slot_name(tape, e.inputs[i]);
  return text;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(text.size() < width ? width : text.size(), ' ');
  return text + " ";
}

std::string number(double x, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

}  // namespace

std::string Tape::table() const {
  const State& tape = *state_;
  std::string out = padded("result", 8) + padded("op", 18) + padded("inputs", 26) + padded("type", 22) + padded("saved bytes", 12);
  if (tape.tracing) out += padded("norm", 11) + padded("us", 8) + "path";
  out += "\n";
  for (std::size_t i = 0; i < tape.watched.size(); ++i)
    out += padded(slot_name(tape, tape.watched_slots[i]), 8) + padded("(watched)", 18) + padded("", 26) +
           slot_type(tape, tape.watched_slots[i]) + "\n";
  std::size_t index = 0;
  for (const Entry* e = tape.first; e; e = e->next, ++index) {
    out += padded(slot_name(tape, e->first_output), 8) + padded(e->op->name, 18) + padded(inputs_text(tape, *e), 26) +
           padded(slot_type(tape, e->first_output), 22) + padded(std::to_string(saved_bytes(*e)), 12);
    if (tape.tracing && index < tape.traces.size()) {
      const detail::Trace& t = tape.traces[index];
      out += padded(number(t.norm, "%.4g"), 11) + padded(number(t.microseconds, "%.1f"), 8) + t.path;
    }
    out += "\n";
  }
  return out + std::to_string(tape.stats.entries) + " entries, " + std::to_string(tape.watched.size()) + " watched, " +
         std::to_string(tape.stats.saved_bytes) + " bytes saved\n";
}

std::string Tape::dot() const {
  const State& tape = *state_;
  std::string out = "digraph tape {\n  rankdir=LR;\n  node [shape=box, fontname=\"Helvetica\", fontsize=10];\n";
  for (const std::uint32_t slot : tape.watched_slots)
    out += "  s" + std::to_string(slot) + " [label=\"" + slot_name(tape, slot) + "\\n" + slot_type(tape, slot) +
           "\", style=filled, fillcolor=\"#dde8f5\"];\n";
  for (const Entry* e = tape.first; e; e = e->next) {
    const std::string node = "s" + std::to_string(e->first_output);
    out += "  " + node + " [label=\"" + e->op->name + "\\n" + slot_type(tape, e->first_output) + "\\n" + std::to_string(saved_bytes(*e)) +
           " B saved\"];\n";
    for (std::uint32_t i = 0; i < e->input_count; ++i) {
      if (e->inputs[i] == detail::kNoSlot) continue;
      const Entry* from = tape.slots[e->inputs[i]].producer;
      out += "  s" + std::to_string(from ? from->first_output : e->inputs[i]) + " -> " + node + ";\n";
    }
  }
  return out + "}\n";
}

}  // namespace gradus::inline v0
