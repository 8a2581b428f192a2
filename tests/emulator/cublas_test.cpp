// The stand-ins of cuBLAS and cuBLASLt beyond what the engine calls: what public programs use, against sums written out here.
#include <doctest/doctest.h>

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/exec/half_bits.h>

using namespace gradus::emulator;

namespace {

template <class T> class OnDevice {
 public:
  explicit OnDevice(std::size_t size) : size_(size) { REQUIRE(cudaMalloc(&data_, size * sizeof(T)) == cudaSuccess); }
  explicit OnDevice(const std::vector<T>& values) : OnDevice(values.size()) {
    REQUIRE(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }
  T* data() const { return static_cast<T*>(data_); }
  std::vector<T> values() const {
    std::vector<T> out(size_);
    REQUIRE(cudaMemcpy(out.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
    return out;
  }

 private:
  void* data_ = nullptr;
  std::size_t size_;
};

struct Handle {
  cublasHandle_t handle = nullptr;
  Handle() { REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS); }
  ~Handle() { cublasDestroy(handle); }
  operator cublasHandle_t() const { return handle; }
};

/// Small whole numbers: every sum of products is exact in all formats.
std::vector<float> numbers(std::size_t size, int seed) {
  std::vector<float> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>((static_cast<int>(i) * 7 + seed) % 5 - 2);
  return out;
}

constexpr int kM = 3, kN = 4, kK = 5;

/// alpha A^T B + beta C with A (k x m) and B (k x n) column-major.
std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, float alpha, float beta, const std::vector<float>& c) {
  std::vector<float> out(kM * kN);
  for (int j = 0; j < kN; ++j)
    for (int i = 0; i < kM; ++i) {
      float sum = 0;
      for (int p = 0; p < kK; ++p) sum += a[p + i * kK] * b[p + j * kK];
      out[i + j * kM] = alpha * sum + (beta == 0 ? 0 : beta * c[i + j * kM]);
    }
  return out;
}

std::vector<std::uint16_t> halves(const std::vector<float>& values, bool bfloat) {
  std::vector<std::uint16_t> out;
  for (float value : values) out.push_back(bfloat ? bfloat_of_float(value) : half_of_float(value));
  return out;
}

const std::vector<float> a = numbers(kK * kM, 1), b = numbers(kK * kN, 3), c = numbers(kM * kN, 0);

}  // namespace

TEST_CASE("cuBLAS: products with sizes of int, scalars on the host or the device") {
  const Handle handle;
  const OnDevice<float> da(a), db(b), scalars(std::vector<float>{2, 3});
  const float alpha = 2, beta = 3;
  OnDevice<float> host(c), device(c), fresh(kM * kN);
  CHECK(cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, kM, kN, kK, &alpha, da.data(), kK, db.data(), kK, &beta, host.data(), kM) == 0);
  CHECK(host.values() == product(a, b, 2, 3, c));
  REQUIRE(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE) == 0);
  CHECK(cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, kM, kN, kK, scalars.data(), da.data(), kK, db.data(), kK, scalars.data() + 1,
                    device.data(), kM) == 0);
  CHECK(device.values() == product(a, b, 2, 3, c));
  REQUIRE(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST) == 0);
  REQUIRE(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH) == 0);
  const float zero = 0;  // C is undefined before: no finding
  CHECK(cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, kM, kN, kK, &alpha, da.data(), kK, db.data(), kK, &zero, fresh.data(), kM) == 0);
  CHECK(fresh.values() == product(a, b, 2, 0, c));
  CHECK(Report::instance().findings().empty());
}

TEST_CASE("cuBLAS: products of f16 and bf16 elements, batches by stride and by pointer") {
  const Handle handle;
  const float alpha = 1, beta = 0;
  for (const bool bfloat : {false, true}) {
    const cudaDataType_t type = bfloat ? CUDA_R_16BF : CUDA_R_16F;
    const OnDevice<std::uint16_t> da(halves(a, bfloat)), db(halves(b, bfloat));
    const OnDevice<std::uint16_t> narrow(kM * kN);
    const OnDevice<float> wide(2 * kM * kN);
    CHECK(cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, kM, kN, kK, &alpha, da.data(), type, kK, db.data(), type, kK, &beta, narrow.data(),
                       type, kM, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == 0);
    CHECK(narrow.values() == halves(product(a, b, 1, 0, c), bfloat));
    CHECK(cublasGemmStridedBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, kM, kN, kK, &alpha, da.data(), type, kK, 0, db.data(), type, kK, 0,
                                     &beta, wide.data(), CUDA_R_32F, kM, kM * kN, 2, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == 0);
    std::vector<float> twice = product(a, b, 1, 0, c);
    twice.insert(twice.end(), twice.begin(), twice.begin() + kM * kN);
    CHECK(wide.values() == twice);
  }
  const OnDevice<float> da(a), db(b), dc(kM * kN);
  const OnDevice<float*> as(std::vector<float*>{da.data()}), bs(std::vector<float*>{db.data()}), cs(std::vector<float*>{dc.data()});
  CHECK(cublasSgemmBatched(handle, CUBLAS_OP_T, CUBLAS_OP_N, kM, kN, kK, &alpha, as.data(), kK, bs.data(), kK, &beta, cs.data(), kM, 1) ==
        0);
  CHECK(dc.values() == product(a, b, 1, 0, c));
}

TEST_CASE("cuBLAS: vectors, and a matrix with vectors") {
  const Handle handle;
  const OnDevice<double> x(std::vector<double>{1, -2, 3, -4}), y(std::vector<double>{1, 1, 1, 1}), result(std::size_t{1});
  const double two = 2, zero = 0;
  double dot = 0, norm = 0, sum = 0;
  int largest = 0, smallest = 0;
  CHECK(cublasDaxpy(handle, 2, &two, x.data(), 2, y.data(), 1) == 0);  // of x every second
  CHECK(y.values() == std::vector<double>{3, 7, 1, 1});
  CHECK(cublasDdot(handle, 4, x.data(), 1, y.data(), 1, &dot) == 0);
  CHECK(dot == 3 - 14 + 3 - 4);
  CHECK(cublasDnrm2(handle, 4, x.data(), 1, &norm) == 0);
  CHECK(norm == doctest::Approx(std::sqrt(30.0)));
  CHECK(cublasDasum(handle, 4, x.data(), 1, &sum) == 0);
  CHECK(sum == 10);
  CHECK(cublasIdamax(handle, 4, x.data(), 1, &largest) == 0);
  CHECK(cublasIdamin(handle, 4, x.data(), 1, &smallest) == 0);
  CHECK(largest == 4);
  CHECK(smallest == 1);
  CHECK(cublasDscal(handle, 4, &two, y.data(), 1) == 0);
  CHECK(y.values() == std::vector<double>{6, 14, 2, 2});
  REQUIRE(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE) == 0);
  CHECK(cublasDasum(handle, 4, x.data(), 1, result.data()) == 0);
  CHECK(result.values() == std::vector<double>{10});
  REQUIRE(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST) == 0);

  const OnDevice<double> matrix(std::vector<double>{1, 2, 3, 4, 5, 6}), out(std::size_t{3}), transposed(std::size_t{6});  // 3 x 2
  CHECK(cublasDgemv(handle, CUBLAS_OP_N, 3, 2, &two, matrix.data(), 3, x.data(), 1, &zero, out.data(), 1) == 0);
  CHECK(out.values() == std::vector<double>{2 * (1 - 8), 2 * (2 - 10), 2 * (3 - 12)});
  const double one = 1;
  CHECK(cublasDgeam(handle, CUBLAS_OP_T, CUBLAS_OP_N, 2, 3, &one, matrix.data(), 3, &zero, nullptr, 2, transposed.data(), 2) == 0);
  CHECK(transposed.values() == std::vector<double>{1, 4, 2, 5, 3, 6});
  CHECK(cublasDger(handle, 3, 2, &one, x.data(), 1, x.data(), 1, matrix.data(), 3) == 0);
  CHECK(matrix.values() == std::vector<double>{2, 0, 6, 2, 9, 0});
  std::vector<double> back(2);
  CHECK(cublasGetVector(2, sizeof(double), x.data(), 2, back.data(), 1) == 0);
  CHECK(back == std::vector<double>{1, 3});
  CHECK(cublasDaxpy(handle, 4, &two, x.data(), 0, y.data(), 1) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(Report::instance().findings().empty());
}

TEST_CASE("cuBLASLt: a product with bias and GELU; what it does not have is refused") {
  cublasLtHandle_t handle = nullptr;
  REQUIRE(cublasLtCreate(&handle) == 0);
  cublasLtMatmulDesc_t description;
  cublasLtMatrixLayout_t la, lb, lc;
  cublasLtMatmulPreference_t preference;
  REQUIRE(cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F) == 0);
  const OnDevice<float> da(a), db(b), bias(std::vector<float>{-1, 0, 1}), out(kM * kN);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_GELU_BIAS;
  const float* const bias_data = bias.data();
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    return cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value);
  };
  REQUIRE(set(CUBLASLT_MATMUL_DESC_TRANSA, transposed) == 0);
  REQUIRE(set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue) == 0);
  REQUIRE(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_data) == 0);
  CHECK(set(CUBLASLT_MATMUL_DESC_TRANSB, 'T') == CUBLAS_STATUS_INVALID_VALUE);  // not of the attribute's size
  REQUIRE(cublasLtMatrixLayoutCreate(&la, CUDA_R_32F, kK, kM, kK) == 0);
  REQUIRE(cublasLtMatrixLayoutCreate(&lb, CUDA_R_32F, kK, kN, kK) == 0);
  REQUIRE(cublasLtMatrixLayoutCreate(&lc, CUDA_R_32F, kM, kN, kM) == 0);
  REQUIRE(cublasLtMatmulPreferenceCreate(&preference) == 0);
  cublasLtMatmulHeuristicResult_t found;
  int count = 0;
  REQUIRE(cublasLtMatmulAlgoGetHeuristic(handle, description, la, lb, lc, lc, preference, 1, &found, &count) == 0);
  CHECK(count == 1);
  const float alpha = 1, beta = 0;
  const auto multiply = [&](cublasLtMatrixLayout_t of_b) {
    return cublasLtMatmul(handle, description, &alpha, da.data(), la, db.data(), of_b, &beta, out.data(), lc, out.data(), lc, &found.algo,
                          nullptr, 0, nullptr);
  };
  CHECK(multiply(lb) == 0);
  std::vector<float> expected = product(a, b, 1, 0, c);
  const std::vector<float> got = out.values();
  for (int i = 0; i < kM * kN; ++i) {
    const double x = expected[i] + (i % kM - 1);
    CHECK(got[i] == doctest::Approx(0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)))));
  }
  CHECK(multiply(la) == CUBLAS_STATUS_INVALID_VALUE);  // the extents disagree
  epilogue = CUBLASLT_EPILOGUE_DGELU;
  REQUIRE(set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue) == 0);
  CHECK(cublasLtMatmulAlgoGetHeuristic(handle, description, la, lb, lc, lc, preference, 1, &found, &count) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(multiply(lb) == CUBLAS_STATUS_NOT_SUPPORTED);
  for (cublasLtMatrixLayout_t layout : {la, lb, lc}) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatmulDescDestroy(description);
  CHECK(cublasLtDestroy(handle) == 0);
  CHECK(cublasLtDestroy(handle) == CUBLAS_STATUS_NOT_INITIALIZED);
}
