#include <gradus/nn/safetensors_header.h>

#include <algorithm>
#include <charconv>

#include <gradus/kernels/error.h>

namespace gradus::inline v0::detail {
namespace {

struct TypeName {
  const char* text;
  DType dtype;
};
constexpr TypeName kTypes[] = {{"F32", DType::f32}, {"F64", DType::f64},      {"I64", DType::i64},
                               {"U8", DType::u8},   {"BOOL", DType::boolean}, {"BF16", DType::bf16}};

const char* type_text(DType dtype) {
  for (const TypeName& type : kTypes)
    if (type.dtype == dtype) return type.text;
  return "?";
}

/// A name in quotes for an error text; a hostile one may be long.
std::string quoted(std::string_view name) {
  constexpr std::size_t kShown = 80;
  return "'" + std::string(name.substr(0, kShown)) + (name.size() > kShown ? "...'" : "'");
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

/// A reader of the JSON that the format uses: objects of strings, lists of whole numbers. The depth is fixed, so nothing recurses.
class JsonReader {
 public:
  JsonReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  [[noreturn]] void fail(const std::string& what) const {
    raise_io("[safetensors] '" + file_ + "', byte " + std::to_string(at_) + " of the header: " + what);
  }
  /// Calls member(key) for each member; member reads the value.
  template <class F> void object(F&& member) {
    expect('{');
    if (take('}')) return;
    do {
      std::string key = string();
      expect(':');
      member(std::move(key));
    } while (take(','));
    expect('}');
  }
  /// Calls element(number) for each element.
  template <class F> void list(F&& element) {
    expect('[');
    if (take(']')) return;
    do element(whole_number());
    while (take(','));
    expect(']');
  }
  std::string string();
  std::uint64_t whole_number();
  void expect_end() {
    skip_space();
    if (at_ != text_.size()) fail("something follows the closing brace");
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("expected '") + c + "'");
  }
  void escape(std::string& value);
  std::uint32_t hex4();

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
};

std::uint64_t JsonReader::whole_number() {
  skip_space();
  const char* first = text_.data() + at_;
  const char* last = text_.data() + text_.size();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value);
  if (error != std::errc()) fail("expected a whole number below 2^64");
  if (*first == '0' && end - first > 1) fail("a number begins with 0");
  at_ += static_cast<std::size_t>(end - first);
  return value;
}

std::string JsonReader::string() {
  expect('"');
  std::string value;
  for (;;) {
    if (at_ == text_.size()) fail("a string does not end");
    const char c = text_[at_++];
    if (c == '"') break;
    if (static_cast<unsigned char>(c) < 0x20) fail("a control character inside a string");
    if (c == '\\') escape(value);
    else value += c;
  }
  if (!is_utf8(value)) fail("a string is not UTF-8");
  return value;
}

void JsonReader::escape(std::string& value) {
  if (at_ == text_.size()) fail("a string does not end");
  const char c = text_[at_++];
  switch (c) {
    case '"':
    case '\\':
    case '/': value += c; return;
    case 'b': value += '\b'; return;
    case 'f': value += '\f'; return;
    case 'n': value += '\n'; return;
    case 'r': value += '\r'; return;
    case 't': value += '\t'; return;
    case 'u': break;
    default: fail("an unknown escape in a string");
  }
  std::uint32_t code = hex4();
  if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {  // the first half of a surrogate pair
    at_ += 2;
    const std::uint32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(value, code);  // a lone half fails as UTF-8 at the string's end
}

std::uint32_t JsonReader::hex4() {
  std::uint32_t code = 0;
  const std::string_view digits = text_.substr(at_, 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) fail("\\u needs four hexadecimal digits");
  at_ += 4;
  return code;
}

DType read_type(JsonReader& json, const std::string& name) {
  const std::string text = json.string();
  for (const TypeName& type : kTypes)
    if (text == type.text) return type.dtype;
  json.fail("tensor " + quoted(name) + " has type " + quoted(text) + "; expected F32, F64, I64, U8, BOOL or BF16");
}

Shape read_shape(JsonReader& json, const std::string& name) {
  Shape shape;
  json.list([&](std::uint64_t extent) {
    const auto signed_extent = static_cast<std::int64_t>(extent);
    std::int64_t product = 0;
    if (shape.rank() == Shape::kMaxRank) json.fail("tensor " + quoted(name) + " has more than 8 axes");
    if (signed_extent < 0 || __builtin_mul_overflow(shape.elements(), signed_extent, &product))
      json.fail("the shape of tensor " + quoted(name) + " overflows at extent " + std::to_string(extent));
    shape.push_back(signed_extent);
  });
  return shape;
}

void read_range(JsonReader& json, HeaderEntry& entry) {
  int count = 0;
  json.list([&](std::uint64_t offset) {
    if (count < 2) (count == 0 ? entry.begin : entry.end) = offset;
    ++count;
  });
  if (count != 2) json.fail("data_offsets of tensor " + quoted(entry.name) + " has " + std::to_string(count) + " numbers; expected 2");
}

void check_size(const JsonReader& json, const HeaderEntry& entry) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(entry.shape.elements(), static_cast<std::int64_t>(size_of(entry.dtype)), &bytes))
    json.fail("the size of tensor " + quoted(entry.name) + " overflows");
  if (entry.end < entry.begin || entry.end - entry.begin != static_cast<std::uint64_t>(bytes))
    json.fail("tensor " + quoted(entry.name) + " " + type_text(entry.dtype) + to_string(entry.shape) + " needs " + std::to_string(bytes) +
              " bytes, its data_offsets are " + std::to_string(entry.begin) + " to " + std::to_string(entry.end));
}

HeaderEntry read_entry(JsonReader& json, std::string name) {
  HeaderEntry entry;
  entry.name = std::move(name);
  bool seen[3] = {};
  const auto first_time = [&](bool& field, const std::string& key) {
    if (field) json.fail("tensor " + quoted(entry.name) + " has " + quoted(key) + " twice");
    field = true;
  };
  json.object([&](const std::string& key) {
    if (key == "dtype") {
      first_time(seen[0], key);
      entry.dtype = read_type(json, entry.name);
    } else if (key == "shape") {
      first_time(seen[1], key);
      entry.shape = read_shape(json, entry.name);
    } else if (key == "data_offsets") {
      first_time(seen[2], key);
      read_range(json, entry);
    } else {
      json.fail("tensor " + quoted(entry.name) + " has an unknown field " + quoted(key));
    }
  });
  if (!seen[0] || !seen[1] || !seen[2]) json.fail("tensor " + quoted(entry.name) + " lacks one of dtype, shape, data_offsets");
  check_size(json, entry);
  return entry;
}

template <class Range, class NameOf> void require_unique(const JsonReader& json, const Range& range, const char* what, NameOf name_of) {
  std::vector<std::string_view> names;
  names.reserve(range.size());
  for (const auto& item : range) names.push_back(name_of(item));
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) json.fail(std::string(what) + " " + quoted(*twice) + " occurs twice");
}

void append_quoted(std::string& json, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  json += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') (json += '\\') += c;
    else if (byte < 0x20) (((json += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15]);
    else json += c;
  }
  json += '"';
}

void append_entry(std::string& json, const HeaderEntry& entry) {
  append_quoted(json, entry.name);
  json += std::string(":{\"dtype\":\"") + type_text(entry.dtype) + "\",\"shape\":[";
  for (int i = 0; i < entry.shape.rank(); ++i) json += (i ? "," : "") + std::to_string(entry.shape[i]);
  json += "],\"data_offsets\":[" + std::to_string(entry.begin) + "," + std::to_string(entry.end) + "]}";
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int more = lead < 0x80                   ? 0
                     : lead >= 0xC2 && lead < 0xE0 ? 1
                     : lead >= 0xE0 && lead < 0xF0 ? 2
                     : lead >= 0xF0 && lead < 0xF5 ? 3
                                                   : -1;
    if (more < 0 || text.size() - i <= static_cast<std::size_t>(more)) return false;
    for (int k = 1; k <= more; ++k)
      if ((static_cast<unsigned char>(text[i + static_cast<std::size_t>(k)]) & 0xC0) != 0x80) return false;
    // The second byte tells overlong forms (E0, F0), surrogates (ED) and codes above U+10FFFF (F4).
    const unsigned second = more > 0 ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F))
      return false;
    i += static_cast<std::size_t>(more) + 1;
  }
  return true;
}

SafetensorsHeader parse_header(std::string_view text, const std::string& file) {
  JsonReader json(text, file);
  SafetensorsHeader header;
  bool has_metadata = false;
  json.object([&](std::string name) {
    if (name != "__metadata__") return header.entries.push_back(read_entry(json, std::move(name)));
    if (has_metadata) json.fail("'__metadata__' occurs twice");
    has_metadata = true;
    json.object([&](std::string key) { header.metadata.emplace_back(std::move(key), json.string()); });
  });
  json.expect_end();
  require_unique(json, header.entries, "tensor", [](const HeaderEntry& e) { return std::string_view(e.name); });
  require_unique(json, header.metadata, "metadata", [](const auto& pair) { return std::string_view(pair.first); });
  return header;
}

std::string to_json(const SafetensorsHeader& header) {
  std::string json = "{";
  if (!header.metadata.empty()) {
    json += "\"__metadata__\":{";
    for (std::size_t i = 0; i < header.metadata.size(); ++i) {
      if (i) json += ',';
      append_quoted(json, header.metadata[i].first);
      json += ':';
      append_quoted(json, header.metadata[i].second);
    }
    json += header.entries.empty() ? "}" : "},";
  }
  for (std::size_t i = 0; i < header.entries.size(); ++i) {
    if (i) json += ',';
    append_entry(json, header.entries[i]);
  }
  return json + "}";
}

}  // namespace gradus::inline v0::detail
