// Tensors on the device: moving, reading, wrong use, faults that a kernel finds, memory, waiting.
#include <doctest/doctest.h>

#include <string>

#include <gradus/engine/functional.h>
#include <gradus/engine/ops/contrastive.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/device.h>

#ifdef GRADUS_CUDA_EMULATED
#include <gradus/kernels/emulator/check/finding.h>
#endif

using namespace gradus;

namespace {

/// The text of the E that f throws; "" if it throws none.
template <class E, class F> std::string text_of(F&& f) {
  try {
    f();
  } catch (const E& error) { return error.what(); }
  return "";
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// While it lives, what the emulator finds is this test's doing.
struct Deliberate {
#ifdef GRADUS_CUDA_EMULATED
  Deliberate() {
    REQUIRE(emulator::Report::instance().findings().empty());
    emulator::Report::instance().set_sink([](const emulator::Finding&) {});
  }
  ~Deliberate() {
    emulator::Report::instance().clear();
    emulator::Report::instance().set_sink({});
  }
#else
  ~Deliberate() {}
#endif
};

}  // namespace

TEST_CASE("cuda: a tensor moves to the device and back with its bits") {
  const Tensor x = normal(Key{1, 0}, {3, 5}), there = x.to(Device::cuda);
  CHECK(there.device() == Device::cuda);
  CHECK(there.to_vector<float>() == x.to_vector<float>());
  CHECK(there.clone().device() == Device::cuda);
  CHECK(there.to(Device::cuda).id() != there.id());
  CHECK(to_string(there) == [&] {
    std::string text = to_string(x);
    return text.replace(text.find("cpu"), 3, "cuda");
  }());
  CHECK(sum(there).item() == doctest::Approx(sum(x).item()));
  CHECK(Tensor::zeros({0, 4}, DType::f32, Device::cuda).to(Device::cpu).elements() == 0);
  CHECK(Tensor::arange(5, DType::f64, Device::cuda).to_vector<double>() == std::vector<double>{0, 1, 2, 3, 4});
}

TEST_CASE("cuda: elements of a device are not read where they are") {
  const Tensor x = Tensor::ones({2}, DType::f32, Device::cuda);
  CHECK(has(text_of<DeviceError>([&] { x.values<float>(); }), "to(Device::cpu)"));
}

TEST_CASE("cuda: operands on two devices are a DeviceError that names the op") {
  const Tensor a = Tensor::ones({2, 2}), b = Tensor::ones({2, 2}, DType::f32, Device::cuda);
  const Tensor labels = Tensor::zeros({2}, DType::i64, Device::cuda);
  for (const auto& [op, call] : std::vector<std::pair<std::string, std::function<void()>>>{
           {"[add]", [&] { a + b; }},
           {"[matmul]", [&] { matmul(a, b); }},
           {"[cross_entropy]", [&] { cross_entropy(a, labels); }},
           {"[index_select]", [&] { index_select(a, labels, 0); }},
           {"[where]", [&] { where(b > 0.0, a, a); }},
           {"[assign]", [&] { assign(a, b); }},
       }) {
    const std::string text = text_of<DeviceError>(call);
    INFO(text);
    CHECK(has(text, op));
    CHECK(has(text, "on cuda"));
  }
}

TEST_CASE("cuda: an index out of range is thrown by whoever waits next, once, naming op and value") {
  const Tensor logits = Tensor::zeros({3, 4}, DType::f32, Device::cuda);
  const Tensor labels = Tensor::from({std::int64_t{1}, std::int64_t{7}, std::int64_t{0}}).to(Device::cuda);
  const Tensor loss = cross_entropy(logits, labels);  // nothing is known yet
  const std::string text = text_of<IndexError>([&] { loss.item(); });
  INFO(text);
  CHECK(has(text, "[cross_entropy]"));
  CHECK(has(text, "7"));
  CHECK(has(text, "< 4"));
  CHECK_NOTHROW(synchronize(Device::cuda));
  CHECK(sum(logits).item() == 0);
}

TEST_CASE("cuda: a call that the runtime refuses is a CudaError, and the device goes on") {
  const Deliberate deliberate;
  const std::string text = text_of<CudaError>([] {
    Tensor::zeros({4}, DType::f32, Device::cuda);
    cuda::copy_to_host(nullptr, nullptr, 4);
  });
  INFO(text);
  CHECK(has(text, "[copy to host]"));
  CHECK(sum(Tensor::ones({8}, DType::f32, Device::cuda)).item() == 8);
}

TEST_CASE("cuda: no memory on the device is a MemoryError, and both sides live on") {
  CHECK(has(text_of<MemoryError>([] { Tensor::empty({std::int64_t{1} << 44}, DType::f32, Device::cuda); }), "device"));
  fail_allocation(1);
  CHECK(has(text_of<MemoryError>([] { Tensor::empty({16}, DType::f32, Device::cuda); }), "[allocate]"));
  CHECK(sum(Tensor::ones({8}, DType::f32, Device::cuda)).item() == 8);
  CHECK(sum(Tensor::ones({8})).item() == 8);
}

TEST_CASE("cuda: freed blocks are used again, and counted") {
  { Tensor warm = Tensor::empty({1000}, DType::f32, Device::cuda); }
  const MemoryStats before = memory_stats(Device::cuda);
  for (int i = 0; i < 10; ++i) Tensor::empty({1000}, DType::f32, Device::cuda);
  const MemoryStats after = memory_stats(Device::cuda);
  CHECK(after.system_calls == before.system_calls);
  CHECK(after.active == before.active);
}

TEST_CASE("cuda: a training step waits once, for the logged loss") {
  const Tensor x = normal(Key{1, 0}, {8, 6}).to(Device::cuda), w = normal(Key{2, 0}, {6, 4}).to(Device::cuda);
  const Tensor labels = Tensor::zeros({8}, DType::i64, Device::cuda);
  double last = 0;
  for (int step = 0; step < 3; ++step) {
    const std::int64_t before = cuda::host_synchronizations();
    Tape tape({w});
    const Tensor loss = cross_entropy(tanh(matmul(x, w)), labels);
    const Tensor g = tape.gradients(loss, {w})[0];
    lerp_(w, w - g * 0.1, 1.0);
    CHECK(cuda::host_synchronizations() == before);
    last = loss.item();
    CHECK(cuda::host_synchronizations() == before + 1);
  }
  CHECK(last > 0);
}

TEST_CASE("cuda: gradcheck of a function on the device, to second order") {
  const Tensor x = normal(Key{3, 0}, {2, 3}, 0, 1, DType::f64).to(Device::cuda);
  const GradcheckReport r = gradcheck([](const TensorList& in) { return tanh(in[0]) * in[0]; }, {x}, {.order = 2});
  INFO(r.text);
  CHECK(r.ok);
}
