#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <fstream>
#include <limits>

#include <gradus/engine/memory.h>
#include <gradus/nn/safetensors.h>

#include "support.h"

using namespace gradus;
using namespace gradus::testing;

namespace {

/// The bytes of a file with this header and data.
std::string file_of(const std::string& header, const std::string& data = "") {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> 8 * i & 0xFF);
  return bytes + header + data;
}

std::span<const unsigned char> span_of(const std::string& bytes) {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

TensorFile read(const std::string& bytes, bool strict = true) { return read_safetensors(span_of(bytes), "test", {.strict = strict}); }

std::string rejection(const std::string& bytes, bool strict = true) {
  return error_of<IoError>([&] { read(bytes, strict); });
}

TensorFile sample() {
  TensorFile file;
  file.tensors.emplace_back("bytes", Tensor::from({std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{255}}));
  file.tensors.emplace_back("weights", Tensor::from({1.5f, -0.f, std::numeric_limits<float>::quiet_NaN(), 3e38f}, {2, 2}));
  file.tensors.emplace_back("mask", Tensor::from({true, false}));
  file.tensors.emplace_back("labels", Tensor::from({std::int64_t{1} << 62, std::int64_t{-1}}));
  file.tensors.emplace_back("scalar", Tensor::scalar(2.5, DType::f64));
  file.tensors.emplace_back("nothing", Tensor::zeros({0, 7}));
  file.tensors.emplace_back("a \"name\"\\ with\n\t\x01 ümläut 語 😀", Tensor::zeros({1}));
  file.metadata = {{"format", "gradus"}, {"text", "line\nbreak \"quoted\" \xE2\x82\xAC"}, {"", ""}};
  return file;
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, names, bits and strings") {
  const TensorFile file = sample();
  const TensorFile back = read(to_safetensors(file));
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == file.tensors.size());
  for (const auto& pair : file.tensors) {
    const Tensor* t = back.find(pair.first);
    REQUIRE(t != nullptr);
    CHECK(same_bits(*t, pair.second));
  }
  CHECK(back.find("no such name") == nullptr);
  CHECK(*back.find_metadata("format") == "gradus");
  CHECK(back.find_metadata("absent") == nullptr);
  CHECK(read(to_safetensors({})).tensors.empty());
}

TEST_CASE("safetensors: data begins at a multiple of 64 and every tensor is aligned to its type") {
  const std::string bytes = to_safetensors(sample());
  std::uint64_t length = 0;
  for (unsigned i = 0; i < 8; ++i) length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
  CHECK((8 + length) % 64 == 0);
  // Order of falling element size: f64 and i64 before f32 before bytes.
  const TensorFile back = read(bytes);
  std::size_t last = 8;
  for (const auto& pair : back.tensors) {
    CHECK(size_of(pair.second.dtype()) <= last);
    last = size_of(pair.second.dtype());
  }
}

TEST_CASE("safetensors: files, and an earlier file, survive as promised") {
  const TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  write_safetensors(path, sample());
  CHECK(read_safetensors(path).tensors.size() == sample().tensors.size());
  TensorFile other;
  other.tensors.emplace_back("x", Tensor::ones({3}));
  write_safetensors(path, other);
  CHECK(same_bits(*read_safetensors(path).find("x"), Tensor::ones({3})));
  CHECK(folder.files() == 1);  // no temporary is left

  TensorFile wrong = other;
  wrong.tensors.emplace_back("x", Tensor::ones({1}));
  CHECK(contains(error_of<ValueError>([&] { write_safetensors(path, wrong); }), "'x' occurs twice"));
  CHECK(read_safetensors(path).tensors.size() == 1);
}

TEST_CASE("safetensors: a full disk is an IoError and leaves what was there before") {
  const TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  TensorFile small, large;
  small.tensors.emplace_back("x", Tensor::ones({3}));
  large.tensors.emplace_back("x", Tensor::ones({100'000}));
  write_safetensors(path, small);
  // The kernel refuses to let a file of this process grow beyond the limit, as it would on a full disk.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = 100'000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string text = error_of<IoError>([&] { write_safetensors(path, large); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(contains(text, "cannot be written"));
  CHECK(contains(text, path));
  CHECK(folder.files() == 1);
  CHECK(same_bits(*read_safetensors(path).find("x"), Tensor::ones({3})));
}

TEST_CASE("safetensors: places that cannot be written or read are IoErrors that name them") {
  const TemporaryFolder folder;
  CHECK(contains(error_of<IoError>([&] { write_safetensors(folder / "no/such/folder/x", sample()); }),
                 "no/such/folder/x' cannot be created"));
  CHECK(contains(error_of<IoError>([&] { read_safetensors(folder / "absent"); }), "absent': cannot be opened"));
  CHECK(contains(error_of<IoError>([&] { read_safetensors(folder / "."); }), "not a regular file"));
  std::string error;
  CHECK_FALSE(try_read_safetensors(folder / "absent", &error).has_value());
  CHECK(contains(error, "absent"));
  CHECK_FALSE(try_read_safetensors(folder / "absent", nullptr).has_value());
  write_safetensors(folder / "x", sample());
  CHECK(try_read_safetensors(folder / "x", &error).has_value());
}

TEST_CASE("safetensors: what cannot be written is a ValueError") {
  TensorFile file;
  file.tensors.emplace_back("__metadata__", Tensor::ones({1}));
  CHECK(contains(error_of<ValueError>([&] { to_safetensors(file); }), "reserves"));
  file.tensors[0] = {"x", Tensor()};
  CHECK(contains(error_of<ValueError>([&] { to_safetensors(file); }), "'x' is empty"));
  file.tensors[0] = {"\xFF", Tensor::ones({1})};
  CHECK(contains(error_of<ValueError>([&] { to_safetensors(file); }), "UTF-8"));
  file.tensors.clear();
  file.metadata = {{"a", "1"}, {"a", "2"}};
  CHECK(contains(error_of<ValueError>([&] { to_safetensors(file); }), "metadata 'a' occurs twice"));
}

TEST_CASE("safetensors: a file cut anywhere is rejected") {
  const std::string bytes = to_safetensors(sample());
  for (std::size_t n = 0; n < bytes.size(); ++n) CHECK_MESSAGE(!rejection(bytes.substr(0, n)).empty(), "cut after ", n, " bytes");
  CHECK(!rejection(bytes + "x").empty());
  CHECK(rejection(bytes + "x", false).empty());
}

TEST_CASE("safetensors: a file with one byte changed is read or rejected, never worse") {
  const std::string bytes = to_safetensors(sample());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (const int flip : {0x01, 0x20, 0x80, 0xFF}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      (void)rejection(changed);  // any other exception, or a sanitizer's report, fails the test
    }
}

TEST_CASE("safetensors: hostile headers are rejected with the reason") {
  const std::string four = "abcd";
  const auto entry = [](const std::string& body) { return "{\"x\":" + body + "}"; };
  struct Case {
    std::string bytes, reason;
  };
  const std::string huge = "18446744073709551615", half = "4611686018427387904";
  const Case cases[] = {
      {"", "at least 8"},
      {std::string(8, '\xFF'), "says that its header has 18446744073709551615"},
      {std::string("\x01\0\0\0\0\0\0\0", 8), "says that its header has 1 bytes"},
      {std::string(8, '\0'), "expected '{'"},
      {file_of("[]"), "expected '{'"},
      {file_of("{"), "expected '\"'"},
      {file_of("{} x"), "something follows"},
      {file_of("{}{}"), "something follows"},
      {file_of("{\"x\"}"), "expected ':'"},
      {file_of("{\"x\":}"), "expected '{'"},
      {file_of("{\"x\":{}}"), "lacks one of"},
      {file_of("{\"x"), "does not end"},
      {file_of("{\"x\\"), "does not end"},
      {file_of("{\"\\q\":{}}"), "unknown escape"},
      {file_of("{\"\\u12G4\":{}}"), "four hexadecimal digits"},
      {file_of("{\"\\u12"), "four hexadecimal digits"},
      {file_of("{\"\\ud800\":{}}"), "not UTF-8"},
      {file_of("{\"\\ud800\\u0041\":{}}"), "half a surrogate"},
      {file_of("{\"\xC0\xAF\":{}}"), "not UTF-8"},
      {file_of("{\"\xED\xA0\x80\":{}}"), "not UTF-8"},
      {file_of("{\"\xF4\x90\x80\x80\":{}}"), "not UTF-8"},
      {file_of("{\"\xE2\x82\":{}}"), "not UTF-8"},
      {file_of("{\"a\nb\":{}}"), "control character"},
      {file_of(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1})"), four), "unknown field 'more'"},
      {file_of(entry(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"), four), "'dtype' twice"},
      {file_of(entry(R"({"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]})"), four), "type 'F8_E5M2'"},
      {file_of(entry(R"({"dtype":"f32","shape":[1],"data_offsets":[0,4]})"), four), "type 'f32'"},
      {file_of(entry(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), four), "whole number"},
      {file_of(entry(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"), four), "expected ']'"},
      {file_of(entry(R"({"dtype":"F32","shape":[01],"data_offsets":[0,4]})"), four), "begins with 0"},
      {file_of(entry(R"({"dtype":"F32","shape":[1,],"data_offsets":[0,4]})"), four), "whole number"},
      {file_of(entry(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"), four), "expected '['"},
      {file_of(entry(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})"), four), "more than 8 axes"},
      {file_of(entry(R"({"dtype":"F32","shape":[)" + huge + R"(],"data_offsets":[0,4]})"), four), "overflows"},
      {file_of(entry(R"({"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]})"), four), "whole number"},
      {file_of(entry(R"({"dtype":"U8","shape":[)" + half + "," + half + R"(],"data_offsets":[0,4]})"), four), "overflows"},
      {file_of(entry(R"({"dtype":"F64","shape":[)" + half + R"(],"data_offsets":[0,4]})"), four), "size of tensor 'x' overflows"},
      {file_of(entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), four), "needs 8 bytes"},
      {file_of(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), four), "needs 4 bytes"},
      {file_of(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})"), four), "has 1 numbers"},
      {file_of(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,4]})"), four), "has 3 numbers"},
      {file_of(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"), four), "the data has 4 bytes"},
      {file_of(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[)" + half + ",4611686018427387908]}"), four), "the data has 4 bytes"},
      {file_of(entry(R"({"dtype":"BOOL","shape":[4],"data_offsets":[0,4]})"), four), "a bool of 97"},
      {file_of(entry(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})"), four), "belong to no tensor"},
      {file_of(entry(R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})"), four), "end at byte 3 of 4"},
      {file_of("{}", four), "end at byte 0 of 4"},
      {file_of(R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", four),
       "overlaps"},
      {file_of(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})", four),
       "overlaps"},
      {file_of(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})", four),
       "'x' occurs twice"},
      {file_of(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0078":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})", four),
       "'x' occurs twice"},
      {file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), "metadata 'a' occurs twice"},
      {file_of(R"({"__metadata__":{},"__metadata__":{}})"), "'__metadata__' occurs twice"},
      {file_of(R"({"__metadata__":{"a":1}})"), "expected '\"'"},
      {file_of(R"({"__metadata__":{"a":{"b":"c"}}})"), "expected '\"'"},
      {file_of(R"({"__metadata__":[]})"), "expected '{'"},
      {file_of(std::string(100'000, '[')), "expected '{'"},
      {file_of("{\"x\":" + std::string(100'000, '{')), "expected '\"'"},
  };
  for (const Case& c : cases) {
    const std::string text = rejection(c.bytes);
    CHECK_MESSAGE(contains(text, c.reason), "expected '", c.reason, "' in '", text, "'");
    CHECK(text.size() < 400);
  }
  CHECK(rejection(file_of("{\"" + std::string(100'000, 'n') + "\":{}}")).size() < 400);
}

TEST_CASE("safetensors: legal oddities are read") {
  CHECK(read(file_of("  { }  \n")).tensors.empty());
  CHECK(read(file_of(R"({"__metadata__":{}})")).metadata.empty());
  const TensorFile file = read(file_of(R"( {"\ud83d\ude00\u00e9\/" : { "shape":[ ], "data_offsets":[0 , 8],
      "dtype":"I64" } , "empty":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}} )",
                                       std::string("\x05\0\0\0\0\0\0\0", 8)));
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.tensors[0].first == "😀é/");
  CHECK(file.tensors[0].second.item() == 5);
  CHECK(file.tensors[1].second.elements() == 0);
  const std::string gap = file_of(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", "abcd");
  CHECK(!rejection(gap).empty());
  CHECK(read(gap, false).find("x")->item() == 'c');
}

TEST_CASE("safetensors: no memory is taken for a tensor that the file does not hold") {
  // 4 TiB in the header, 4 bytes in the file.
  const std::string bytes = file_of(R"({"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}})", "abcd");
  const MemoryPeak peak;
  CHECK(contains(rejection(bytes), "the data has 4 bytes"));
  CHECK(peak.bytes() == 0);
}

TEST_CASE("safetensors: an allocation that fails is a MemoryError, and the next try succeeds") {
  const std::string bytes = to_safetensors(sample());
  int failures = 0;
  for (int nth = 1;; ++nth) {
    const std::int64_t held = thread_active_bytes();
    fail_allocation(nth);
    std::string error;
    const auto file = try_read_safetensors(span_of(bytes), "test", &error);
    fail_allocation(0);
    if (file) break;
    CHECK(contains(error, "cannot get"));
    CHECK(thread_active_bytes() == held);
    ++failures;
  }
  CHECK(failures > 0);
}
