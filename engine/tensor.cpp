#include <gradus/engine/tensor.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>

#include <gradus/engine/device_copy.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape_state.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {
namespace detail {
namespace {

// Ids come in blocks, so that making a tensor touches no shared cache line.
constexpr std::uint64_t kIdBlock = 1 << 16;
std::atomic<std::uint64_t> next_id_block{1};
constinit thread_local std::uint64_t next_id = 0, last_id = 0;

std::uint64_t new_id() {
  if (next_id == last_id) {
    next_id = next_id_block.fetch_add(kIdBlock, std::memory_order_relaxed);
    last_id = next_id + kIdBlock;
  }
  return next_id++;
}

constexpr std::size_t kHeaderBytes = 64;  // the storage's header; the data behind it starts on the next cache line
static_assert(sizeof(Storage) <= kHeaderBytes);

Storage* new_storage(std::size_t data_bytes) {
  const std::size_t block = kHeaderBytes + data_bytes;
  auto* storage = new (allocate(block)) Storage;
  storage->data = reinterpret_cast<char*>(storage) + kHeaderBytes;
  storage->block_bytes = block;
  return storage;
}
Storage* new_storage(std::size_t data_bytes, Device device) {
  if (device == Device::cpu) return new_storage(data_bytes);
  void* data = allocate(data_bytes, device);
  void* header;
  try {
    header = allocate(kHeaderBytes);
  } catch (...) {
    deallocate(data, data_bytes, device);
    throw;
  }
  auto* storage = new (header) Storage;
  storage->data = data;
  storage->block_bytes = data_bytes;
  storage->device = device;
  return storage;
}

void drop_storage(Storage* storage) noexcept {
  if (!storage->refs.drop()) return;
  if (storage->release) storage->release(storage->context);
  std::size_t block = storage->block_bytes;
  if (storage->device != Device::cpu) {
    deallocate(storage->data, block, storage->device);
    block = kHeaderBytes;
  }
  storage->~Storage();
  deallocate(storage, block);
}

/// A body on `storage`, of which it takes one reference over.
Body* new_body(Storage* storage, const Shape& shape, DType dtype) {
  void* memory;
  try {
    memory = allocate(sizeof(Body));
  } catch (...) {
    drop_storage(storage);
    throw;
  }
  Body* body = new (memory) Body;
  body->dtype = dtype;
  body->device = storage->device;
  body->id = new_id();
  body->storage = storage;
  body->data = static_cast<char*>(storage->data);
  body->shape = shape;
  return body;
}

}  // namespace

void destroy(Body* body) noexcept {
  drop_storage(body->storage);
  body->~Body();
  deallocate(body, sizeof(Body));
}

}  // namespace detail

using detail::Body;
using detail::Storage;

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  const auto bytes = static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  return Tensor(detail::new_body(detail::new_storage(bytes, device), shape, dtype));
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  GRADUS_RUN(device, fill, TensorAccess::fresh(t), value);
  return t;
}
Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }
Tensor Tensor::ones(const Shape& shape, DType dtype, Device device) { return full(shape, 1, dtype, device); }
Tensor Tensor::scalar(double value, DType dtype, Device device) { return full({}, value, dtype, device); }

Tensor Tensor::arange(std::int64_t n, DType dtype, Device device) {
  Tensor index = empty({n}, DType::i64);
  auto* values = TensorAccess::fresh(index).as<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) values[i] = i;
  Tensor t = dtype == DType::i64 ? index : empty({n}, dtype);
  if (dtype != DType::i64) cpu::cast(TensorAccess::fresh(t), index.array());
  return t.to(device);
}

Tensor Tensor::from_memory(const void* values, std::size_t count, const Shape& shape, DType dtype) {
  if (static_cast<std::int64_t>(count) != shape.elements())
    raise_shape("[from] " + std::to_string(count) + " values do not fill shape " + to_string(shape));
  Tensor t = empty(shape, dtype);
  if (count) std::memcpy(t.body_->data, values, count * size_of(dtype));
  return t;
}

Tensor Tensor::borrow(void* data, const Shape& shape, DType dtype, std::function<void()> release) {
  if (!data && shape.elements() > 0) raise_value("[borrow] data is null but the shape is " + to_string(shape));
  auto owned = std::make_unique<std::function<void()>>(std::move(release));
  Storage* storage = detail::new_storage(0);
  storage->data = data;
  storage->context = owned.release();
  storage->release = [](void* context) {
    const std::unique_ptr<std::function<void()>> function(static_cast<std::function<void()>*>(context));
    try {
      if (*function) (*function)();
    } catch (...) {  // a destructor must not throw: the host's release function keeps its errors to itself
    }
  };
  return Tensor(detail::new_body(storage, shape, dtype));
}

Tensor TensorAccess::view(const Tensor& t, const Shape& shape, std::int64_t offset) {
  Storage* storage = t.body_->storage;
  storage->refs.add();
  Body* body = detail::new_body(storage, shape, t.dtype());
  body->data = t.body_->data + offset;
  return Tensor(body);
}

std::int64_t Tensor::size(int axis) const {
  const int i = axis < 0 ? axis + rank() : axis;
  if (i < 0 || i >= rank()) raise_shape("[size] axis " + std::to_string(axis) + " of " + describe("x", *this) + ": there is no such axis");
  return shape()[i];
}

void Tensor::check_readable(DType wanted) const {
  if (!body_) raise_value("[values] the tensor is empty: it was never assigned");
  if (dtype() != wanted) raise_dtype("[values] " + describe("x", *this) + " read as " + name_of(wanted) + "; use cast() first");
  if (device() != Device::cpu)
    raise_device("[values] " + describe("x", *this) + " cannot be read where it is; use to(Device::cpu) or to_vector(), which wait for it");
}

double Tensor::item() const {
  if (!body_) raise_value("[item] the tensor is empty: it was never assigned");
  if (elements() != 1)
    raise_shape("[item] " + describe("x", *this) + " has " + std::to_string(elements()) + " elements; expected exactly one");
  if (device() != Device::cpu) return on_host().item();
  switch (dtype()) {
    case DType::f32: return values<float>()[0];
    case DType::f64: return values<double>()[0];
    case DType::i64: return static_cast<double>(values<std::int64_t>()[0]);
    case DType::u8: return values<std::uint8_t>()[0];
    case DType::boolean: return values<bool>()[0];
    case DType::bf16: break;
  }
  raise_dtype("[item] bf16 is for storage; use cast() first");
}

Tensor Tensor::detach() const { return body_ ? TensorAccess::view(*this, shape(), 0) : Tensor(); }

namespace {
Tensor copy_on(const Tensor& t, Device device) {
  Tensor y = Tensor::empty(t.shape(), t.dtype(), device);
  detail::copy_bytes(TensorAccess::fresh(y).data, device, t.array().data, t.device(), static_cast<std::size_t>(t.bytes()));
  return y;
}
}  // namespace

Tensor Tensor::clone() const { return body_ ? copy_on(*this, device()) : Tensor(); }

Tensor Tensor::to(Device device) const {
  if (!body_) return {};
  return device == this->device() ? detach() : copy_on(*this, device);
}

Tensor empty_like(const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); }
Tensor zeros_like(const Tensor& x) { return Tensor::zeros(x.shape(), x.dtype(), x.device()); }
Tensor ones_like(const Tensor& x) { return Tensor::ones(x.shape(), x.dtype(), x.device()); }

namespace {

std::string element_text(const Tensor& t, std::int64_t i) {
  char text[32];
  switch (t.dtype()) {
    case DType::f32: std::snprintf(text, sizeof text, "%.6g", static_cast<double>(t.values<float>()[static_cast<std::size_t>(i)])); break;
    case DType::f64: std::snprintf(text, sizeof text, "%.12g", t.values<double>()[static_cast<std::size_t>(i)]); break;
    case DType::i64: return std::to_string(t.values<std::int64_t>()[static_cast<std::size_t>(i)]);
    case DType::u8: return std::to_string(t.values<std::uint8_t>()[static_cast<std::size_t>(i)]);
    case DType::boolean: return t.values<bool>()[static_cast<std::size_t>(i)] ? "true" : "false";
    case DType::bf16: return "?";
  }
  return text;
}

std::string type_text(const Tensor& t) { return name_of(t.dtype()) + to_string(t.shape()) + " on " + name_of(t.device()); }

}  // namespace

std::string to_string(const Tensor& t) {
  if (!t) return "empty tensor";
  if (t.device() != Device::cpu) {
    std::string text = to_string(t.to(Device::cpu));
    return text.replace(text.find(" on cpu"), 7, " on cuda");
  }
  constexpr std::int64_t kEdge = 4;  // elements shown at each end
  std::string text = type_text(t) + ":";
  const std::int64_t n = t.elements();
  for (std::int64_t i = 0; i < n; ++i) {
    if (n > 2 * kEdge && i == kEdge) {
      text += " ...";
      i = n - kEdge;
    }
    text += (i ? ", " : " ") + element_text(t, i);
  }
  return text;
}

std::string describe(const char* name, const Tensor& t) {
  return std::string(name) + (t ? " (" + type_text(t) + ")" : std::string(" (empty tensor)"));
}

void check_same_device(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  if (a.device() == b.device()) return;
  raise_device(std::string("[") + op + "] " + describe(a_name, a) + " and " + describe(b_name, b) +
               " are on two devices; expected one: move one of them with to()");
}

Array begin_write(const char* op, const Tensor& t) {
  if (!t) raise_value(std::string("[") + op + "] the destination is an empty tensor");
  if (detail::live_on_any_tape(t))
    raise_gradient(
        std::string("[") + op + "] " + describe("destination", t) +
        " is live on a tape of this thread; writing would falsify its gradient: finish the tape first, or write to a detached copy");
  Body* body = TensorAccess::body(t);
  ++body->storage->version;
  body->storage->writer = op;
  return {body->data, &body->shape, body->dtype};
}

namespace {
void check_same(const char* op, const Tensor& destination, const Tensor& source) {
  if (!destination || !source || destination.dtype() != source.dtype() || !(destination.shape() == source.shape()))
    raise_shape(std::string("[") + op + "] " + describe("destination", destination) + " and " + describe("source", source) +
                " differ; expected the same shape and type");
  check_same_device(op, "destination", destination, "source", source);
}
}  // namespace

void assign(const Tensor& destination, const Tensor& source) {
  check_same("assign", destination, source);
  const Array y = begin_write("assign", destination);
  detail::copy_bytes(y.data, destination.device(), source.array().data, source.device(), static_cast<std::size_t>(destination.bytes()));
}

void assign_window(const Tensor& destination, std::int64_t offset, const Tensor& rows) {
  bool fits = destination && rows && destination.rank() > 0 && rows.rank() == destination.rank() && destination.dtype() == rows.dtype();
  for (int i = 1; fits && i < rows.rank(); ++i) fits = rows.shape()[i] == destination.shape()[i];
  if (!fits || offset < 0 || offset + rows.size(0) > destination.size(0))
    raise_shape("[assign_window] " + describe("rows", rows) + " at row " + std::to_string(offset) + " do not fit into " +
                describe("destination", destination));
  check_same_device("assign_window", "destination", destination, "rows", rows);
  const Array y = begin_write("assign_window", destination);
  const std::int64_t row_bytes = destination.size(0) ? destination.bytes() / destination.size(0) : 0;
  detail::copy_bytes(static_cast<char*>(y.data) + offset * row_bytes, destination.device(), rows.array().data, rows.device(),
                     static_cast<std::size_t>(rows.bytes()));
}

void lerp_(const Tensor& destination, const Tensor& source, double weight) {
  check_same("lerp_", destination, source);
  if (!is_floating(destination.dtype())) raise_dtype("[lerp_] " + describe("destination", destination) + "; expected f32 or f64");
  GRADUS_RUN(destination.device(), lerp, begin_write("lerp_", destination), source.array(), weight);
}

}  // namespace gradus::inline v0
