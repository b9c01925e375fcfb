#include "capdiff/backends/onednn/onednn_backend.h"

#include <algorithm>
#include <cstring>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/layers.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff {

std::unique_ptr<Backend> make_onednn_backend(const BackendOptions& options) {
  return std::make_unique<onednn::OneDnnBackend>(options);
}

namespace onednn {
namespace {

/// Bytes a thread copies or converts in about the time of one elementary step.
constexpr double kBytesPerStep = 4.0;

/// The elements of a parameter as f32, without a copy where they are.
HostTensor as_f32(const Parameter& parameter, int threads) {
  const HostTensor& tensor = parameter.value;
  if (tensor.dtype() != DType::bf16) return tensor.to(DType::f32);
  HostTensor result(DType::f32, tensor.shape());
  const auto from = tensor.values<std::uint16_t>();
  const auto to = result.mutable_values<float>();
  parallel_ranges(tensor.numel(), threads, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) to[i] = bf16_to_f32(from[i]);
  });
  return result;
}

/// The elements of parameters stacked along their outermost axis as f32 or bf16, without a copy where they are. A copy
/// takes memory of the pool: packing a model asks for the same few sizes again and again.
HostTensor stacked(std::span<const Parameter> parameters, const Shape& shape, DType dtype, int threads,
                   BufferPool& pool) {
  if (parameters.size() == 1 && parameters[0].value.dtype() == dtype) return parameters[0].value;
  const std::size_t bytes = checked_bytes(shape, size_of(dtype));
  const std::shared_ptr<std::byte> memory = pool.allocate(bytes);
  std::byte* to = memory.get();
  for (const Parameter& parameter : parameters) {
    const std::int64_t n = parameter.value.numel();
    if (parameter.value.dtype() == dtype) {
      std::memcpy(to, parameter.value.bytes().data(), parameter.value.byte_size());
    } else {
      const HostTensor wide = as_f32(parameter, threads);
      const float* from = wide.values<float>().data();
      if (dtype == DType::f32)
        std::memcpy(to, from, wide.byte_size());
      else
        parallel_ranges(n, threads, [&](std::int64_t begin, std::int64_t end) {
          round_to_bf16(from + begin, reinterpret_cast<std::uint16_t*>(to) + begin, end - begin);
        });
    }
    to += static_cast<std::size_t>(n) * size_of(dtype);
  }
  return HostTensor::view(dtype, shape, {memory.get(), bytes}, memory);
}

}  // namespace

void expect_value(std::string_view operation, const Value& value) {
  if (!value) fail(ErrorCode::internal, "[{}] an operand is missing", operation);
}

const float* floats(std::string_view operation, const Value& value) {
  expect_value(operation, value);
  if (value.dtype() != DType::f32)
    fail(ErrorCode::internal, "[{}] an operand is {}, expected F32", operation, name_of(value.dtype()));
  return data_of<float>(value);
}

const std::int64_t* integers(std::string_view operation, const Value& value) {
  expect_value(operation, value);
  if (value.dtype() != DType::i64)
    fail(ErrorCode::internal, "[{}] an operand is {}, expected I64", operation, name_of(value.dtype()));
  return data_of<std::int64_t>(value);
}

int checked_axis(std::string_view operation, const Value& value, int axis) {
  expect_value(operation, value);
  const int rank = static_cast<int>(value.shape().rank());
  const int index = axis < 0 ? axis + rank : axis;
  if (index < 0 || index >= rank)
    fail(ErrorCode::internal, "[{}] x {} has no axis {}", operation, to_string(value.shape()), axis);
  return index;
}

OneDnnBackend::OneDnnBackend(BackendOptions options) : Backend(options) {
  if (options_.compute != DType::f32 && options_.compute != DType::bf16 && options_.compute != DType::i8)
    fail(ErrorCode::unsupported, "the oneDNN backend computes in F32, BF16 or I8, not in {}",
         name_of(options_.compute));
  if (options_.threads < 0) fail(ErrorCode::usage, "the number of threads is {}, expected 0 or more", options_.threads);
  // A processor without kernels for the type computes in f32, and `options()` says so.
  if (options_.compute != DType::f32 && !Matmul::supports(options_.compute)) options_.compute = DType::f32;
  if (options_.threads == 0) options_.threads = omp_get_max_threads();
  threads_ = options_.threads;
}

int OneDnnBackend::threads_for(double steps) const {
  return threads_worth(steps, threads_);
}

std::shared_ptr<std::byte> OneDnnBackend::rounded_to_bf16(const float* x, std::int64_t n) {
  std::shared_ptr<std::byte> memory = pool_->allocate(static_cast<std::size_t>(n) * sizeof(std::uint16_t));
  auto* const rounded = reinterpret_cast<std::uint16_t*>(memory.get());
  parallel_ranges(n, threads_for(static_cast<double>(n) / kBytesPerStep), [&](std::int64_t begin, std::int64_t end) {
    round_to_bf16(x + begin, rounded + begin, end - begin);
  });
  return memory;
}

Value OneDnnBackend::upload(const HostTensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
    case DType::f64:
    case DType::f16:
    case DType::bf16: {
      const HostTensor wide = tensor.to(DType::f32);
      auto result = output<float>(tensor.shape());
      std::copy_n(wide.values<float>().data(), wide.numel(), result.data);
      return result.value;
    }
    default: break;
  }
  auto result = output<std::int64_t>(tensor.shape());
  const auto widen = [&]<class T>(std::span<const T> values) { std::copy(values.begin(), values.end(), result.data); };
  switch (tensor.dtype()) {
    case DType::i64: widen(tensor.values<std::int64_t>()); break;
    case DType::i32: widen(tensor.values<std::int32_t>()); break;
    case DType::i16: widen(tensor.values<std::int16_t>()); break;
    case DType::i8: widen(tensor.values<std::int8_t>()); break;
    default: widen(tensor.values<std::uint8_t>()); break;
  }
  return result.value;
}

HostTensor OneDnnBackend::download(const Value& value) {
  expect_value("download", value);
  HostTensor result(value.dtype(), value.shape());
  copy_elements(buffer_of(value), 0, result.byte_size(), result.mutable_bytes().data());
  return result;
}

Value OneDnnBackend::bind(const Parameter& parameter) {
  auto tensor = std::make_shared<const HostTensor>(as_f32(parameter, threads_));
  const std::byte* const first = tensor->bytes().data();
  const Shape shape = tensor->shape();
  return Value(std::make_shared<const Buffer>(std::move(tensor), first), shape);
}

Packed OneDnnBackend::bind_linear(std::span<const Parameter> weights, std::span<const Parameter> biases) {
  if (weights.empty()) fail(ErrorCode::internal, "[bind_linear] no weights");
  if (!biases.empty() && biases.size() != weights.size())
    fail(ErrorCode::internal, "[bind_linear] {} weights with {} biases", weights.size(), biases.size());
  std::int64_t out = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Shape& shape = weights[i].value.shape();
    if (shape.rank() != 2 || shape.numel() == 0 || shape[1] != weights[0].value.shape()[1])
      fail(ErrorCode::internal, "[bind_linear] {} has shape {}, expected [out, in] with the same in as {}",
           weights[i].name, to_string(shape), weights[0].name);
    if (!biases.empty() && biases[i].value.shape() != Shape{shape[0]})
      fail(ErrorCode::internal, "[bind_linear] {} has shape {}, expected [{}]", biases[i].name,
           to_string(biases[i].value.shape()), shape[0]);
    out += shape[0];
  }
  const Shape shape{out, weights[0].value.shape()[1]};
  auto layer = std::make_shared<LinearLayer>();
  // Small matrices are packed sooner than threads wake up.
  const int threads = threads_for(static_cast<double>(shape.numel()) / 8.0);
  layer->compute = options_.compute == DType::i8 && shape[1] > kMaxInt8Columns ? DType::f32 : options_.compute;
  if (layer->compute == DType::i8) {
    const HostTensor rows = stacked(weights, shape, DType::f32, threads, *pool_);
    bind_int8(rows, threads, *layer);
  } else {
    const HostTensor rows = stacked(weights, shape, layer->compute, threads, *pool_);
    layer->weights = Matmul::pack(rows.bytes().data(), out, shape[1], layer->compute, threads);
  }
  if (!biases.empty()) layer->bias = stacked(biases, Shape{out}, DType::f32, threads_, *pool_);
  return Packed(std::move(layer), shape);
}

Packed OneDnnBackend::bind_conv2d(const Parameter& weight, const std::optional<Parameter>& bias, std::int64_t groups) {
  const Shape& shape = weight.value.shape();
  if (shape.rank() != 4 || shape.numel() == 0 || groups < 1 || shape[0] % groups != 0)
    fail(ErrorCode::internal, "[bind_conv2d] {} has shape {}, expected [out, in / groups, kh, kw] for {} groups",
         weight.name, to_string(shape), groups);
  if (bias && bias->value.shape() != Shape{shape[0]})
    fail(ErrorCode::internal, "[bind_conv2d] {} has shape {}, expected [{}]", bias->name,
         to_string(bias->value.shape()), shape[0]);
  std::optional<HostTensor> wide_bias;
  if (bias) wide_bias = as_f32(*bias, threads_);
  auto layer = std::make_shared<ConvLayer>(as_f32(weight, threads_), std::move(wide_bias), groups);
  return Packed(std::move(layer), shape);
}

}  // namespace onednn
}  // namespace capdiff
