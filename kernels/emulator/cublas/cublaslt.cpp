// cuBLASLt's stand-in: products with column-major operands, strided batches, and the epilogues bias, ReLU and GELU. Descriptors are kept
// inside the library's opaque structures, so that those which the caller allocates work too.
#include <cublasLt.h>

#include <cstring>
#include <new>

#include <gradus/kernels/emulator/cublas/gemm.h>

struct cublasLtContext {};

namespace gradus::emulator::vendor {
namespace {

struct Layout {
  cudaDataType_t type;
  std::int32_t order;
  std::uint64_t rows, columns;
  std::int64_t ld;
  std::int32_t batch;
  std::int64_t stride;
};
struct Description {
  cublasComputeType_t compute;
  cudaDataType_t scalars;
  std::int32_t device_scalars, transa, transb;
  cublasLtEpilogue_t epilogue;
  const void* bias;
  std::int32_t bias_type;  // -1: that of D
};
static_assert(sizeof(Layout) <= sizeof(cublasLtMatrixLayoutOpaque_t) && sizeof(Description) <= sizeof(cublasLtMatmulDescOpaque_t));

/// What an initialiser put into an opaque structure.
template <class T, class Opaque> T& inside(Opaque* opaque) { return *std::launder(static_cast<T*>(static_cast<void*>(opaque->data))); }
Layout& layout_of(cublasLtMatrixLayout_t layout) { return inside<Layout>(layout); }
Description& description_of(cublasLtMatmulDesc_t description) { return inside<Description>(description); }

template <class T> cublasStatus_t set(const char* call, T& to, const void* from, std::size_t bytes) {
  if (!from || bytes != sizeof to) {
    complain(call, "buf", "is null, or not of the attribute's " + std::to_string(sizeof to) + " bytes");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t unknown(const char* call, int attribute) {
  complain(call, "attr", "is " + std::to_string(attribute) + ": the stand-in does not have that attribute");
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

struct Epilogue {
  bool known, bias;
  Activation activation;
};
Epilogue epilogue_of(cublasLtEpilogue_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT: return {true, false, Activation::none};
    case CUBLASLT_EPILOGUE_BIAS: return {true, true, Activation::none};
    case CUBLASLT_EPILOGUE_RELU: return {true, false, Activation::relu};
    case CUBLASLT_EPILOGUE_RELU_BIAS: return {true, true, Activation::relu};
    case CUBLASLT_EPILOGUE_GELU: return {true, false, Activation::gelu};
    case CUBLASLT_EPILOGUE_GELU_BIAS: return {true, true, Activation::gelu};
    default: return {false, false, Activation::none};
  }
}

bool is_alive(const char* call, cublasLtHandle_t handle) {
  return (handle && Live<cublasLtContext>::instance().has(handle)) ||
         fail(call, "lightHandle", "is not a live cuBLASLt handle: it was never created, or has been destroyed");
}

/// Is this what the stand-in computes?
bool supported(const char* call, const Description& description, std::initializer_list<const Layout*> layouts) {
  for (const Layout* layout : layouts)
    if (layout->order != CUBLASLT_ORDER_COL)
      return fail(call, "layout", "has the order " + std::to_string(layout->order) + ": the stand-in has column-major matrices");
  return epilogue_of(description.epilogue).known ||
         fail(call, "epilogue", "is " + std::to_string(static_cast<int>(description.epilogue)) + ": the stand-in has bias, ReLU and GELU");
}

GemmOperand operand(const void* data, const Layout& layout) { return {data, layout.type, layout.ld, layout.stride}; }

}  // namespace
}  // namespace gradus::emulator::vendor

using namespace gradus::emulator::vendor;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* lightHandle) {
  if (!lightHandle) return CUBLAS_STATUS_INVALID_VALUE;
  *lightHandle = Live<cublasLtContext>::instance().create();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle) {
  if (!is_alive("cublasLtDestroy", lightHandle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  Live<cublasLtContext>::instance().destroy(lightHandle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t matLayout, size_t, cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld) {
  new (matLayout->data) Layout{type, CUBLASLT_ORDER_COL, rows, cols, ld, 1, 0};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matLayout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld) {
  *matLayout = new cublasLtMatrixLayoutOpaque_t{};
  return cublasLtMatrixLayoutInit_internal(*matLayout, sizeof **matLayout, type, rows, cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) {
  delete matLayout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matLayout, cublasLtMatrixLayoutAttribute_t attr, const void* buf,
                                                size_t sizeInBytes) {
  constexpr const char* call = "cublasLtMatrixLayoutSetAttribute";
  Layout& layout = layout_of(matLayout);
  switch (attr) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(call, layout.type, buf, sizeInBytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(call, layout.order, buf, sizeInBytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(call, layout.rows, buf, sizeInBytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return set(call, layout.columns, buf, sizeInBytes);
    case CUBLASLT_MATRIX_LAYOUT_LD: return set(call, layout.ld, buf, sizeInBytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(call, layout.batch, buf, sizeInBytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(call, layout.stride, buf, sizeInBytes);
    default: return unknown(call, attr);
  }
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t matmulDesc, size_t, cublasComputeType_t computeType,
                                               cudaDataType_t scaleType) {
  new (matmulDesc->data) Description{computeType, scaleType, 0, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr, -1};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* matmulDesc, cublasComputeType_t computeType, cudaDataType_t scaleType) {
  *matmulDesc = new cublasLtMatmulDescOpaque_t{};
  return cublasLtMatmulDescInit_internal(*matmulDesc, sizeof **matmulDesc, computeType, scaleType);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) {
  delete matmulDesc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc, cublasLtMatmulDescAttributes_t attr, const void* buf,
                                              size_t sizeInBytes) {
  constexpr const char* call = "cublasLtMatmulDescSetAttribute";
  Description& description = description_of(matmulDesc);
  switch (attr) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return set(call, description.compute, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return set(call, description.scalars, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(call, description.device_scalars, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(call, description.transa, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(call, description.transb, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(call, description.epilogue, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(call, description.bias, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(call, description.bias_type, buf, sizeInBytes);
    default: return unknown(call, attr);
  }
}

// What one would prefer makes no difference: there is one way to compute.
cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t, size_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* pref) {
  *pref = new cublasLtMatmulPreferenceOpaque_t{};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) {
  delete pref;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
                                              cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc,
                                              cublasLtMatrixLayout_t Ddesc, cublasLtMatmulPreference_t, int requestedAlgoCount,
                                              cublasLtMatmulHeuristicResult_t heuristicResultsArray[], int* returnAlgoCount) {
  constexpr const char* call = "cublasLtMatmulAlgoGetHeuristic";
  if (!is_alive(call, lightHandle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (requestedAlgoCount < 1) return CUBLAS_STATUS_INVALID_VALUE;
  *returnAlgoCount = 0;
  if (!supported(call, description_of(operationDesc), {&layout_of(Adesc), &layout_of(Bdesc), &layout_of(Cdesc), &layout_of(Ddesc)}))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  heuristicResultsArray[0] = {};
  heuristicResultsArray[0].wavesCount = 1;
  *returnAlgoCount = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc, const void* alpha, const void* A,
                              cublasLtMatrixLayout_t Adesc, const void* B, cublasLtMatrixLayout_t Bdesc, const void* beta, const void* C,
                              cublasLtMatrixLayout_t Cdesc, void* D, cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t*, void*,
                              size_t, cudaStream_t stream) {
  constexpr const char* call = "cublasLtMatmul";
  if (!is_alive(call, lightHandle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  const Description& description = description_of(computeDesc);
  const Layout &a = layout_of(Adesc), &b = layout_of(Bdesc), &c = layout_of(Cdesc), &d = layout_of(Ddesc);
  if (!supported(call, description, {&a, &b, &c, &d})) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (c.type != d.type || c.ld != d.ld || c.stride != d.stride) {
    complain(call, "Cdesc", "differs from Ddesc: the stand-in takes one layout for both");
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const Epilogue epilogue = epilogue_of(description.epilogue);
  const auto transa = static_cast<cublasOperation_t>(description.transa), transb = static_cast<cublasOperation_t>(description.transb);
  const std::uint64_t k = transa == CUBLAS_OP_N ? a.columns : a.rows;
  const std::uint64_t k_of_b = transb == CUBLAS_OP_N ? b.rows : b.columns;
  if (k != k_of_b || d.rows != (transa == CUBLAS_OP_N ? a.rows : a.columns) || d.columns != (transb == CUBLAS_OP_N ? b.columns : b.rows)) {
    complain(call, "Adesc, Bdesc or Ddesc", "does not fit the others: the extents of op(A), op(B) and D disagree");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (epilogue.bias && !description.bias) {
    complain(call, "bias", "is null, but the epilogue adds it");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const cudaDataType_t bias_type = description.bias_type < 0 ? d.type : static_cast<cudaDataType_t>(description.bias_type);
  return run_gemm(stream, {.name = call,
                           .transa = transa,
                           .transb = transb,
                           .m = static_cast<Size>(d.rows),
                           .n = static_cast<Size>(d.columns),
                           .k = static_cast<Size>(k),
                           .alpha = alpha,
                           .a = operand(A, a),
                           .b = operand(B, b),
                           .beta = beta,
                           .c = operand(C ? C : D, c),
                           .batch = d.batch,
                           .compute = description.compute,
                           .scalars = description.scalars,
                           .device_scalars = description.device_scalars != 0,
                           .d = D,
                           .bias = {epilogue.bias ? description.bias : nullptr, bias_type, 0, 0},
                           .activation = epilogue.activation});
}

}  // extern "C"
