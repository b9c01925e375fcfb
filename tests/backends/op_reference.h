#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/base/error.h"
#include "tests/backends/op_table.h"

/// Plain double-precision definitions of the operations, written as loops over the formulas in backend.h.
namespace capdiff::test {

/// Row-major numbers; each is exact in f32, so that a backend starts from the same ones.
struct Array {
  Shape shape;
  std::vector<double> values;

  double& operator[](std::int64_t i) { return values[static_cast<std::size_t>(i)]; }
  double operator[](std::int64_t i) const { return values[static_cast<std::size_t>(i)]; }
};

Array zeros(Shape shape);
Array array(Shape shape, std::vector<double> values);
/// Uniform in [low, high), the same on every machine.
Array random(Shape shape, std::uint32_t seed, double low = -1.0, double high = 1.0);

Value upload(Backend& backend, const Array& array);
Value upload_ids(Backend& backend, Shape shape, const std::vector<std::int64_t>& ids);
Parameter parameter(std::string name, const Array& array, DType dtype = DType::f32);

/// Largest admitted error relative to the largest expected magnitude, for plain f32 arithmetic.
inline constexpr double kF32Tolerance = 1e-5;
/// The same for operations that contain matrix products, and for `linear`, which alone may compute in 8 bits.
double product_tolerance(const Backend& backend);
double linear_tolerance(const Backend& backend);
/// The same of attention, which computes in bf16 where linear layers do in int8.
double attention_tolerance(const Backend& backend);

void expect_close(Backend& backend, const Value& got, const Array& want, double tolerance = kF32Tolerance);
void expect_ids(Backend& backend, const Value& got, const Shape& shape, const std::vector<std::int64_t>& want);
/// The call must throw an Error with this code whose message begins with `beginning`.
void expect_error(ErrorCode code, std::string_view beginning, const std::function<void()>& call);

namespace reference {

double activation(double x, Activation activation);
/// x […, in], weights [out, in], bias [out] or empty.
Array linear(const Array& x, const Array& weights, const Array& bias);
Array layer_norm(const Array& x, const Array& gamma, const Array& beta, double eps);
/// mask [Bk, Lk], or empty.
Array attention(const Array& q, const Array& k, const Array& v, std::int64_t heads, const Array& mask, bool causal);
Array conv2d(const Array& x, const Array& weights, const Array& bias, const Conv2dOptions& options);
Array softmax(const Array& x);
/// NumPy broadcasting of any number of operands.
Array broadcast(const std::vector<Array>& operands, const std::function<double(const std::vector<double>&)>& function);
Array permute(const Array& x, const std::vector<int>& axes);
Array map(const Array& x, const std::function<double(double)>& function);

}  // namespace reference

void append_layer_cases(std::vector<OperationCase>& cases);
void append_attention_cases(std::vector<OperationCase>& cases);
void append_convolution_cases(std::vector<OperationCase>& cases);
void append_elementwise_cases(std::vector<OperationCase>& cases);
void append_shape_cases(std::vector<OperationCase>& cases);
void append_reduction_cases(std::vector<OperationCase>& cases);

}  // namespace capdiff::test
