#include <gradus/kernels/emulator/count/counters.h>

#include <sstream>
#include <utility>

namespace gradus::emulator {
namespace {

struct Field {
  const char* name;
  std::uint64_t Counters::*member;
};
constexpr Field kFields[] = {
    {"launches", &Counters::launches},
    {"blocks", &Counters::blocks},
    {"threads", &Counters::threads},
    {"warp_instructions", &Counters::warp_instructions},
    {"lane_instructions", &Counters::lane_instructions},
    {"class_integer", &Counters::class_integer},
    {"class_float", &Counters::class_float},
    {"class_memory", &Counters::class_memory},
    {"class_control", &Counters::class_control},
    {"class_other", &Counters::class_other},
    {"flops", &Counters::flops},
    {"special", &Counters::special},
    {"load_requests", &Counters::load_requests},
    {"load_sectors", &Counters::load_sectors},
    {"store_requests", &Counters::store_requests},
    {"store_sectors", &Counters::store_sectors},
    {"atomic_requests", &Counters::atomic_requests},
    {"bytes_requested", &Counters::bytes_requested},
    {"bytes_touched", &Counters::bytes_touched},
    {"bytes_compulsory", &Counters::bytes_compulsory},
    {"shared_requests", &Counters::shared_requests},
    {"shared_wavefronts", &Counters::shared_wavefronts},
    {"shared_ideal_wavefronts", &Counters::shared_ideal_wavefronts},
    {"barriers", &Counters::barriers},
    {"shuffles", &Counters::shuffles},
    {"local_requests", &Counters::local_requests},
};
static_assert(sizeof(Counters) == sizeof(kFields) / sizeof(kFields[0]) * sizeof(std::uint64_t), "a counter is missing in the list");

void write_string(std::ostream& out, const std::string& text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out << '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out << '\\' << c;
    else if (static_cast<unsigned char>(c) < 32) out << "\\u00" << kHex[c >> 4] << kHex[c & 15];
    else out << c;
  }
  out << '"';
}

}  // namespace

void Counters::add(const Counters& other) {
  for (const Field& field : kFields) this->*field.member += other.*field.member;
}

std::map<std::string, Counters>& counters_by_kernel() {
  static auto& counters = *new std::map<std::string, Counters>();  // read at exit, after static objects may be gone
  return counters;
}

std::string counters_json() {
  std::ostringstream out;
  out << "{\n";
  bool first = true;
  for (const auto& [kernel, counters] : counters_by_kernel()) {
    out << (first ? "" : ",\n") << "  ";
    first = false;
    write_string(out, kernel);
    out << ": {";
    for (const Field& field : kFields) out << (&field == kFields ? "" : ", ") << '"' << field.name << "\": " << counters.*field.member;
    out << '}';
  }
  out << "\n}\n";
  return out.str();
}

}  // namespace gradus::emulator
