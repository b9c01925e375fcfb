#pragma once

#include <string_view>
#include <utility>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/base/error.h"

namespace capdiff::torch_detail {

/// Runs the body of an operation. What torch throws becomes an `Error(internal)` that begins with the operation's name.
template <class Body>
auto guarded(std::string_view operation, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const c10::Error& error) {
    fail(ErrorCode::internal, "[{}] {}", operation, error.what_without_backtrace());
  }
}

/// `guarded` for a body that computes one tensor.
template <class Body>
Value compute(std::string_view operation, Body&& body) {
  return guarded(operation, [&] { return TorchBackend::value(body()); });
}

/// Fails unless NumPy's broadcasting rule lets the two shapes meet.
void check_broadcast(std::string_view operation, const Shape& a, const Shape& b);
void check_same_shape(std::string_view operation, const Shape& a, const Shape& b);
void check_dtype(std::string_view operation, std::string_view operand, const Value& value, DType dtype);
/// Fails with `code` unless every element of the i64 value lies in [begin, end). Devices would otherwise read out of
/// bounds, or abort the process. A device is asked, and waited for, about values that were not uploaded as they are.
void check_range(std::string_view operation, std::string_view operand, const Value& ids, std::int64_t begin,
                 std::int64_t end, ErrorCode code);

/// bf16 as f32.
inline torch::Tensor wide(const torch::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

torch::Tensor activate(const torch::Tensor& x, Activation activation);

}  // namespace capdiff::torch_detail
