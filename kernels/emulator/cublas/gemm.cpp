#include <gradus/kernels/emulator/cublas/gemm.h>

#include <algorithm>
#include <cmath>

#include <gradus/kernels/emulator/exec/half_bits.h>

namespace gradus::emulator::vendor {

Size element_bytes(cudaDataType_t type) {
  switch (type) {
    case CUDA_R_8I: return 1;
    case CUDA_R_16F:
    case CUDA_R_16BF: return 2;
    case CUDA_R_32I:
    case CUDA_R_32F: return 4;
    case CUDA_R_64F: return 8;
    default: return 0;
  }
}

cudaDataType_t scalar_type(cublasComputeType_t compute) {
  switch (compute) {
    case CUBLAS_COMPUTE_16F:
    case CUBLAS_COMPUTE_16F_PEDANTIC: return CUDA_R_16F;
    case CUBLAS_COMPUTE_64F:
    case CUBLAS_COMPUTE_64F_PEDANTIC: return CUDA_R_64F;
    case CUBLAS_COMPUTE_32I:
    case CUBLAS_COMPUTE_32I_PEDANTIC: return CUDA_R_32I;
    default: return CUDA_R_32F;
  }
}

namespace {

template <class T> T element(const void* data, cudaDataType_t type, Size index) {
  switch (type) {
    case CUDA_R_8I: return static_cast<T>(static_cast<const std::int8_t*>(data)[index]);
    case CUDA_R_16F: return static_cast<T>(float_of_half(static_cast<const std::uint16_t*>(data)[index]));
    case CUDA_R_16BF: return static_cast<T>(float_of_bfloat(static_cast<const std::uint16_t*>(data)[index]));
    case CUDA_R_32I: return static_cast<T>(static_cast<const std::int32_t*>(data)[index]);
    case CUDA_R_64F: return static_cast<T>(static_cast<const double*>(data)[index]);
    default: return static_cast<T>(static_cast<const float*>(data)[index]);
  }
}

template <class T> void store(void* data, cudaDataType_t type, Size index, T value) {
  switch (type) {
    case CUDA_R_8I: static_cast<std::int8_t*>(data)[index] = static_cast<std::int8_t>(value); break;
    case CUDA_R_16F: static_cast<std::uint16_t*>(data)[index] = half_of_float(static_cast<float>(value)); break;
    case CUDA_R_16BF: static_cast<std::uint16_t*>(data)[index] = bfloat_of_float(static_cast<float>(value)); break;
    case CUDA_R_32I: static_cast<std::int32_t*>(data)[index] = static_cast<std::int32_t>(value); break;
    case CUDA_R_64F: static_cast<double*>(data)[index] = static_cast<double>(value); break;
    default: static_cast<float*>(data)[index] = static_cast<float>(value);
  }
}

template <class T> T activated(T x, Activation activation) {
  switch (activation) {
    case Activation::relu: return std::max(x, T(0));
    case Activation::gelu: {  // the tanh form, as the library's
      const double y = static_cast<double>(x);
      return static_cast<T>(0.5 * y * (1 + std::tanh(0.7978845608028654 * (y + 0.044715 * y * y * y))));
    }
    default: return x;
  }
}

/// op(X) of one item, packed: rows x columns, column-major.
template <class T> std::vector<T> packed(const GemmOperand& x, bool transposed, Size rows, Size columns, Size item) {
  const void* const data = device_bytes(x.data);
  std::vector<T> values(static_cast<std::size_t>(rows * columns));
  for (Size j = 0; j < columns; ++j)
    for (Size i = 0; i < rows; ++i)
      values[static_cast<std::size_t>(i + j * rows)] =
          element<T>(data, x.type, item * x.stride + (transposed ? j + i * x.ld : i + j * x.ld));
  return values;
}

template <class T> void compute(const GemmCall& g, T alpha, T beta) {
  const bool product = g.k > 0 && alpha != T(0);
  const void* const c = beta != T(0) ? device_bytes(g.c.data) : nullptr;
  const void* const bias = g.bias.data ? device_bytes(g.bias.data) : nullptr;
  void* const d = device_bytes(g.d);
  std::vector<T> sums(static_cast<std::size_t>(g.m));
  for (Size item = 0; item < g.batch; ++item) {
    std::vector<T> a, b;
    if (product) a = packed<T>(g.a, g.transa != CUBLAS_OP_N, g.m, g.k, item), b = packed<T>(g.b, g.transb != CUBLAS_OP_N, g.k, g.n, item);
    for (Size j = 0; j < g.n; ++j) {
      std::fill(sums.begin(), sums.end(), T(0));
      for (Size p = 0; product && p < g.k; ++p) {
        const T* const column = a.data() + p * g.m;
        const T factor = b[static_cast<std::size_t>(p + j * g.k)];
        for (Size i = 0; i < g.m; ++i) sums[static_cast<std::size_t>(i)] += column[i] * factor;
      }
      for (Size i = 0; i < g.m; ++i) {
        const Size at = item * g.c.stride + j * g.c.ld + i;
        T value = alpha * sums[static_cast<std::size_t>(i)];
        if (c) value += beta * element<T>(c, g.c.type, at);
        if (bias) value += element<T>(bias, g.bias.type, i);
        store<T>(d, g.c.type, at, activated(value, g.activation));
      }
    }
  }
}

class Gemm {
 public:
  explicit Gemm(const GemmCall& g) : g_(g) {
    if (!g_.d) g_.d = const_cast<void*>(g_.c.data);
  }

  cublasStatus_t run(cudaStream_t stream) const {
    for (const auto& [name, type] : {std::pair{"A", g_.a.type}, {"B", g_.b.type}, {"C", g_.c.type}, {"alpha", g_.scalars}})
      if (element_bytes(type) == 0) {
        complain(g_.name, name, "has the type " + std::to_string(static_cast<int>(type)) + ": the stand-in has no such elements");
        return CUBLAS_STATUS_NOT_SUPPORTED;
      }
    if (!valid()) return CUBLAS_STATUS_INVALID_VALUE;
    if (g_.m == 0 || g_.n == 0 || g_.batch == 0) return CUBLAS_STATUS_SUCCESS;
    switch (scalar_type(g_.compute)) {
      case CUDA_R_64F: return queue<double>(stream);
      case CUDA_R_32I: return queue<std::int32_t>(stream);
      default: return queue<float>(stream);
    }
  }

 private:
  template <class T> cublasStatus_t queue(cudaStream_t stream) const {
    // Scalars on the host are read now; those on the device when the product's turn comes, and are assumed not to be 0 but for C, of which
    // nothing is said: C is often undefined where beta is 0.
    const T alpha = g_.device_scalars ? T(1) : element<T>(g_.alpha, g_.scalars, 0);
    const T beta = g_.device_scalars ? T(0) : element<T>(g_.beta, g_.scalars, 0);
    const bool product = g_.k > 0 && alpha != T(0);
    std::vector<Range> reads, writes;
    if (product) a().add_to(reads), b().add_to(reads);
    if (beta != T(0)) c().add_to(reads);
    if (g_.bias.data) bias().add_to(reads);
    if (g_.device_scalars)
      for (const void* scalar : {g_.alpha, g_.beta})
        reads.push_back({scalar, static_cast<std::uint64_t>(element_bytes(g_.scalars)), "alpha or beta"});
    d().add_to(writes);
    const std::uint64_t bytes = (product ? a().bytes() + b().bytes() : 0) + d().bytes() + (beta != T(0) ? c().bytes() : 0);
    const auto flops = static_cast<std::uint64_t>(2 * g_.m * g_.n * g_.k * g_.batch);
    const auto work = [g = g_, alpha, beta] {
      if (!g.device_scalars) return compute<T>(g, alpha, beta);
      compute<T>(g, element<T>(device_bytes(g.alpha), g.scalars, 0), element<T>(device_bytes(g.beta), g.scalars, 0));
    };
    return enqueue_host_work(stream, g_.name, work, reads, writes, counts_of(flops, bytes)) ? CUBLAS_STATUS_SUCCESS
                                                                                            : CUBLAS_STATUS_INVALID_VALUE;
  }

  Matrices matrices(const GemmOperand& x, const char* name, Size rows, Size columns) const {
    return {x.data, name, element_bytes(x.type), rows, columns, x.ld, g_.batch, x.stride};
  }
  Matrices a() const {
    const bool t = g_.transa != CUBLAS_OP_N;
    return matrices(g_.a, "A", t ? g_.k : g_.m, t ? g_.m : g_.k);
  }
  Matrices b() const {
    const bool t = g_.transb != CUBLAS_OP_N;
    return matrices(g_.b, "B", t ? g_.n : g_.k, t ? g_.k : g_.n);
  }
  Matrices c() const { return matrices(g_.c, "C", g_.m, g_.n); }
  Matrices d() const { return matrices({g_.d, g_.c.type, g_.c.ld, g_.c.stride}, g_.d == g_.c.data ? "C" : "D", g_.m, g_.n); }
  Matrices bias() const { return {g_.bias.data, "bias", element_bytes(g_.bias.type), g_.m, 1, g_.m, 1, 0}; }

  bool valid() const {
    const char* const call = g_.name;
    return valid_operation(call, "transa", g_.transa) && valid_operation(call, "transb", g_.transb) && valid_extent(call, "m", g_.m) &&
           valid_extent(call, "n", g_.n) && valid_extent(call, "k", g_.k) && valid_extent(call, "batchCount", g_.batch) &&
           valid_leading(call, "lda", a()) && valid_leading(call, "ldb", b()) && valid_leading(call, "ldc", c()) &&
           (g_.alpha || fail(call, "alpha", "is null")) && (g_.beta || fail(call, "beta", "is null")) &&
           (g_.k == 0 || (valid_pointer(call, a()) && valid_pointer(call, b()))) && valid_pointer(call, d()) && apart();
  }
  bool apart() const {
    if (overlaps_itself(d())) return fail(g_.name, "strideC", "is " + std::to_string(g_.c.stride) + ": items of C overlap");
    if (g_.k > 0 && (overlap(d(), a()) || overlap(d(), b()))) return fail(g_.name, d().name, "overlaps an operand");
    return true;
  }

  GemmCall g_;
};

}  // namespace

cublasStatus_t run_gemm(cudaStream_t stream, const GemmCall& g) { return Gemm(g).run(stream); }

}  // namespace gradus::emulator::vendor
