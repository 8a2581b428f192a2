// One declaration per op, from which everything is tested and measured: value against a naive reference, gradients to second order, fused
// against composed, odd, empty and unaligned operands, error texts, row stability, speed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gradus/engine/tensor.h>

namespace gradus::testing {

/// How an operand is drawn. Real operands are drawn as f64 and cast to the type under test.
struct Operand {
  enum class Kind { real, index, mask };
  Shape shape;
  Kind kind = Kind::real;
  double low = -2, high = 2;       ///< real: uniform in [low, high); index: integers in [low, high)
  std::vector<double> kinks = {};  ///< values to keep `kink_margin` away from: gradients jump there
  double kink_margin = 1e-2;
  bool constant = false;  ///< real, but not differentiated (a label distribution)
};
inline Operand real(Shape shape, double low = -2, double high = 2, std::vector<double> kinks = {}) {
  return {shape, Operand::Kind::real, low, high, std::move(kinks)};
}
inline Operand index(Shape shape, std::int64_t bound) { return {shape, Operand::Kind::index, 0, static_cast<double>(bound)}; }
inline Operand mask(Shape shape) { return {shape, Operand::Kind::mask, 0, 2}; }

/// An operand's or a result's elements for the reference: row-major doubles, whatever the type.
struct Values {
  Shape shape;
  std::vector<double> x;
  double& operator[](std::size_t i) { return x[i]; }
  double operator[](std::size_t i) const { return x[i]; }
};
using Reference = std::function<Values(const std::vector<Values>&)>;

/// A wrong call and what it must say.
struct WrongUse {
  std::function<void()> call;
  std::string kind;                    ///< "ShapeError", "DTypeError", "IndexError", "ValueError", "GradientError"
  std::vector<std::string> fragments;  ///< all must occur in the text: the op in brackets, operands, numbers
};

struct OpCase {
  std::string op = {};                                 ///< name of the public function
  std::string variant = {};                            ///< "axis 1", "transposed": what this case is about
  std::vector<std::vector<Operand>> operands = {};     ///< several sets: ordinary, odd, empty, one element; the first is the one timed
  std::function<Tensor(const TensorList&)> run = {};   ///< must work for f32 and f64 operands
  Reference reference = {};                            ///< naive f64, written independently of the kernels
  int order = 2;                                       ///< gradients are checked to this order; 0: not differentiable
  double tolerance_f32 = 1e-5, tolerance_f64 = 1e-12;  ///< |value - reference| <= tolerance * max(1, |reference|)
  double gradient_tolerance = 1e-6;                    ///< gradcheck's
  bool rows_stable = false;                            ///< operand 0's leading axis is a batch: row i of the result depends on row i alone
  double flops = 0;                                    ///< of the first operand set, for rates (0: count elements of the result)
  std::vector<WrongUse> wrong = {};
};

using OpCases = std::vector<OpCase>;

/// Every case of every family.
const OpCases& op_cases();

// One function a family, in op_cases/<family>.cpp.
void add_elementwise_cases(OpCases& cases);
void add_reduce_cases(OpCases& cases);
void add_matmul_cases(OpCases& cases);
void add_shape_cases(OpCases& cases);
void add_index_cases(OpCases& cases);
void add_convolution_cases(OpCases& cases);
void add_pooling_cases(OpCases& cases);
void add_normalization_cases(OpCases& cases);
void add_softmax_cases(OpCases& cases);
void add_random_cases(OpCases& cases);
void add_contrastive_cases(OpCases& cases);

/// Draws a set of operands. Real ones get `dtype`.
TensorList draw_operands(const std::vector<Operand>& operands, DType dtype, std::uint64_t seed);
Values values_of(const Tensor& t);

/// y[i] = f(x[i]).
Reference elementwise_reference(std::function<double(double)> f);
/// y[i] = f(a, b) with numpy broadcasting, by index arithmetic.
Reference broadcast_reference(std::function<double(double, double)> f);

}  // namespace gradus::testing
