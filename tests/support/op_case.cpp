#include <gradus/tests/support/op_case.h>

#include <cmath>

#include <gradus/kernels/elementwise.h>
#include <gradus/kernels/philox.h>

namespace gradus::testing {

const OpCases& op_cases() {
  static const OpCases cases = [] {
    OpCases all;
    for (auto add : {add_elementwise_cases, add_reduce_cases, add_matmul_cases, add_shape_cases, add_index_cases, add_convolution_cases,
                     add_pooling_cases, add_normalization_cases, add_softmax_cases, add_random_cases, add_contrastive_cases})
      add(all);
    return all;
  }();
  return cases;
}

namespace {

double draw(const Operand& operand, std::uint32_t& n, Key key) {
  for (;;) {
    const PhiloxBlock b = philox_block(key, n++, 0);
    const double u = (static_cast<double>(b.word[0]) + static_cast<double>(b.word[1]) * 0x1p-32) * 0x1p-32;
    const double x = operand.low + (operand.high - operand.low) * u;
    if (operand.kind != Operand::Kind::real) return std::floor(x);
    bool near_kink = false;
    for (const double kink : operand.kinks) near_kink |= std::abs(x - kink) < operand.kink_margin;
    if (!near_kink) return x;
  }
}

Tensor draw_operand(const Operand& operand, DType dtype, Key key) {
  std::vector<double> x(static_cast<std::size_t>(operand.shape.elements()));
  std::uint32_t n = 0;
  for (double& v : x) v = draw(operand, n, key);
  const Tensor wide = Tensor::from(x, operand.shape);
  const DType wanted = operand.kind == Operand::Kind::real ? dtype : operand.kind == Operand::Kind::index ? DType::i64 : DType::boolean;
  if (wanted == DType::f64) return wide;
  Tensor t = Tensor::empty(operand.shape, wanted);
  cpu::cast(TensorAccess::fresh(t), wide.array());
  return t;
}

}  // namespace

TensorList draw_operands(const std::vector<Operand>& operands, DType dtype, std::uint64_t seed) {
  TensorList out;
  for (std::size_t i = 0; i < operands.size(); ++i) out.push_back(draw_operand(operands[i], dtype, fold(Key{seed, 0}, i)));
  return out;
}

Values values_of(const Tensor& t) {
  Tensor wide = Tensor::empty(t.shape(), DType::f64);
  cpu::cast(TensorAccess::fresh(wide), t.array());
  return {t.shape(), wide.to_vector<double>()};
}

Reference elementwise_reference(std::function<double(double)> f) {
  return [f = std::move(f)](const std::vector<Values>& in) {
    Values y = in[0];
    for (double& v : y.x) v = f(v);
    return y;
  };
}

Reference broadcast_reference(std::function<double(double, double)> f) {
  return [f = std::move(f)](const std::vector<Values>& in) {
    const Shape &a = in[0].shape, &b = in[1].shape;
    const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
    Values y;
    for (int i = 0; i < rank; ++i) {
      const int ia = i - rank + a.rank(), ib = i - rank + b.rank();
      const std::int64_t na = ia < 0 ? 1 : a[ia], nb = ib < 0 ? 1 : b[ib];
      y.shape.push_back(na == 1 ? nb : na);
    }
    auto offset = [&](std::int64_t flat, const Shape& s) {  // position in an operand of the result's element `flat`
      std::int64_t at = 0, stride = 1;
      for (int i = rank - 1; i >= 0; --i) {
        const std::int64_t coordinate = flat % y.shape[i];
        flat /= y.shape[i];
        const int is = i - rank + s.rank();
        if (is < 0) continue;
        at += s[is] == 1 ? 0 : coordinate * stride;
        stride *= s[is];
      }
      return static_cast<std::size_t>(at);
    };
    for (std::int64_t i = 0; i < y.shape.elements(); ++i) y.x.push_back(f(in[0][offset(i, a)], in[1][offset(i, b)]));
    return y;
  };
}

}  // namespace gradus::testing
