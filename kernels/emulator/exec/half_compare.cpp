// setp and set on f16, f16x2, bf16, bf16x2.
#include <string_view>
#include <utility>

#include <gradus/kernels/emulator/exec/half_formats.h>
#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

// The four outcomes of a comparison; an operator is the set of those that satisfy it.
enum Relation : unsigned { kLess = 1, kEqual = 2, kGreater = 4, kUnordered = 8 };
constexpr std::pair<const char*, unsigned> kOperators[] = {{"eq", kEqual},
                                                           {"ne", kLess | kGreater},
                                                           {"lt", kLess},
                                                           {"le", kLess | kEqual},
                                                           {"gt", kGreater},
                                                           {"ge", kGreater | kEqual},
                                                           {"equ", kEqual | kUnordered},
                                                           {"neu", kLess | kGreater | kUnordered},
                                                           {"ltu", kLess | kUnordered},
                                                           {"leu", kLess | kEqual | kUnordered},
                                                           {"gtu", kGreater | kUnordered},
                                                           {"geu", kGreater | kEqual | kUnordered},
                                                           {"num", kLess | kEqual | kGreater},
                                                           {"nan", kUnordered}};

/// What the handlers need beyond Decoded.
struct Compare {
  enum class Combine : std::uint8_t { none, both, either, differ } combine = Combine::none;
  unsigned wanted = 0;
  bool ftz = false, packed = false, c_negated = false;
  bool second = false;  // p|q
  Ref p, q, c;
  std::uint16_t truth = 0xFFFF;  // set: what a half of the result holds if true
};

template <class F> unsigned relation(std::uint16_t a, std::uint16_t b, bool ftz) {
  const float x = F::widen(ftz ? flush<F>(a) : a), y = F::widen(ftz ? flush<F>(b) : b);
  return x < y ? kLess : x == y ? kEqual : x > y ? kGreater : kUnordered;
}

/// Lanes whose values (half `part` of the words) satisfy the operator.
template <class F> Mask compare(Warp& warp, const Decoded& d, const Compare& info, int part) {
  if (info.packed) {
    const std::uint32_t *a = warp.lanes_of<std::uint32_t>(d.a), *b = warp.lanes_of<std::uint32_t>(d.b);
    return mask_of([&](int l) {
      const auto x = static_cast<std::uint16_t>(a[l] >> (16 * part)), y = static_cast<std::uint16_t>(b[l] >> (16 * part));
      return (relation<F>(x, y, info.ftz) & info.wanted) != 0;
    });
  }
  const std::uint16_t *a = warp.lanes_of<std::uint16_t>(d.a), *b = warp.lanes_of<std::uint16_t>(d.b);
  return mask_of([&](int l) { return (relation<F>(a[l], b[l], info.ftz) & info.wanted) != 0; });
}

Mask combine(Warp& warp, const Compare& info, Mask t) {
  if (info.combine == Compare::Combine::none) return t;
  const Mask c = info.c_negated ? ~warp.predicate(info.c) : warp.predicate(info.c);
  return info.combine == Compare::Combine::both ? t & c : info.combine == Compare::Combine::either ? t | c : t ^ c;
}

template <class F> Flow run_setp(Warp& warp, const Decoded& d, Mask active) {
  const Compare& info = *static_cast<const Compare*>(d.extra);
  const Mask low = compare<F>(warp, d, info, 0);
  const Mask high = info.packed ? compare<F>(warp, d, info, 1) : ~low;
  const Mask p = combine(warp, info, low), q = combine(warp, info, high);  // before p is written: it may be c too
  set_predicate(warp, info.p, active, p);
  if (info.second) set_predicate(warp, info.q, active, q);
  return Flow::next;
}

template <class F, class Word> Flow run_set(Warp& warp, const Decoded& d, Mask active) {
  const Compare& info = *static_cast<const Compare*>(d.extra);
  const Mask low = combine(warp, info, compare<F>(warp, d, info, 0));
  const Mask high = info.packed ? combine(warp, info, compare<F>(warp, d, info, 1)) : low;
  map_lanes(warp.lanes_of<Word>(d.d), active, [&](int l) {
    const std::uint32_t x = (low >> l & 1) != 0 ? info.truth : 0u, y = (high >> l & 1) != 0 ? info.truth : 0u;
    return static_cast<Word>(x | y << 16);
  });
  return Flow::next;
}

bool is_format(ptx::Type type, ptx::Type single, ptx::Type packed) { return type == single || type == packed; }
bool is_f16(ptx::Type type) { return is_format(type, ptx::Type::f16, ptx::Type::f16x2); }
bool is_bf16(ptx::Type type) { return is_format(type, ptx::Type::bf16, ptx::Type::bf16x2); }

unsigned operator_of(Decoder& decoder, const ptx::Instruction& i) {
  unsigned found = 0;
  for (const auto& [name, wanted] : kOperators) {
    if (!i.modifiers.empty() && i.modifiers[0] == name) found = wanted;
  }
  if (found == 0) decoder.unsupported("unknown comparison");
  return found;
}

Compare comparison_of(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  Compare info;
  const ptx::Type type = i.type();
  info.wanted = operator_of(decoder, i);
  info.ftz = i.has("ftz");
  info.packed = type == ptx::Type::f16x2 || type == ptx::Type::bf16x2;
  if (i.has("and")) info.combine = Compare::Combine::both;
  if (i.has("or")) info.combine = Compare::Combine::either;
  if (i.has("xor")) info.combine = Compare::Combine::differ;
  const bool combined = info.combine != Compare::Combine::none;
  allow_modifiers(decoder, i, {i.modifiers[0].c_str(), "ftz", "and", "or", "xor"});
  expect_operands(decoder, i, combined ? 4 : 3);
  out.a = decoder.source(i.operands[1], type);
  out.b = decoder.source(i.operands[2], type);
  if (combined) {
    info.c = decoder.source(i.operands[3], ptx::Type::pred);
    info.c_negated = i.operands[3].negated;
  }
  out.instruction_class = kFloat;
  return info;
}

void select_setp(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  const ptx::Type type = i.type();
  if (!is_f16(type) && !is_bf16(type)) return;
  Compare info = comparison_of(decoder, i, out);
  const ptx::Operand& d = i.operands[0];
  info.second = d.kind == ptx::Operand::Kind::pair;
  info.p = destination_or_scrap(decoder, info.second ? d.elements[0] : d, ptx::Type::pred);
  if (info.second) info.q = destination_or_scrap(decoder, d.elements[1], ptx::Type::pred);
  out.extra = decoder.keep(info);
  out.run = is_f16(type) ? run_setp<F16> : run_setp<BF16>;
}

void select_set(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  const ptx::Type type = i.type(), result = i.type(1);
  if (!is_f16(type) && !is_bf16(type)) return;
  Compare info = comparison_of(decoder, i, out);
  if (is_f16(result)) info.truth = F16::kOne;
  if (is_bf16(result)) info.truth = BF16::kOne;
  const int bytes = ptx::bytes_of(result);
  if (bytes != 2 && bytes != 4) decoder.unsupported("unknown type of result");
  if (info.packed && bytes != 4) decoder.unsupported("a packed comparison needs 32 bits of result");
  if (!info.packed && info.truth != 0xFFFF && bytes != 2) decoder.unsupported("one comparison has one result");
  out.d = decoder.destination(i.operands[0], result);
  out.extra = decoder.keep(info);
  if (is_f16(type)) out.run = bytes == 2 ? run_set<F16, std::uint16_t> : run_set<F16, std::uint32_t>;
  else out.run = bytes == 2 ? run_set<BF16, std::uint16_t> : run_set<BF16, std::uint32_t>;
}

}  // namespace

void register_half_compare() {
  add_selector("setp", select_setp);
  add_selector("set", select_set);
}

}  // namespace gradus::emulator
