#include "tests/backends/op_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace capdiff::test {

Array zeros(Shape shape) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()), 0.0);
  return {std::move(shape), std::move(values)};
}

Array array(Shape shape, std::vector<double> values) {
  if (static_cast<std::int64_t>(values.size()) != shape.numel()) throw std::logic_error("wrong number of values");
  for (double& value : values) value = static_cast<float>(value);
  return {std::move(shape), std::move(values)};
}

Array random(Shape shape, std::uint32_t seed, double low, double high) {
  Array result = zeros(std::move(shape));
  std::uint64_t state = (std::uint64_t{seed} << 32) | 0x9e3779b9u;
  for (double& value : result.values) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's linear congruential generator
    value = static_cast<float>(low + (high - low) * static_cast<double>(state >> 40) / 16777216.0);
  }
  return result;
}

Value upload(Backend& backend, const Array& array) {
  const std::vector<float> values(array.values.begin(), array.values.end());
  return backend.upload(HostTensor::of(array.shape, values));
}

Value upload_ids(Backend& backend, Shape shape, const std::vector<std::int64_t>& ids) {
  return backend.upload(HostTensor::of(std::move(shape), ids));
}

Parameter parameter(std::string name, const Array& array, DType dtype) {
  const std::vector<float> values(array.values.begin(), array.values.end());
  return {std::move(name), HostTensor::of(array.shape, values).to(dtype)};
}

double product_tolerance(const Backend& backend) {
  return backend.options().compute == DType::bf16 ? 2e-2 : kF32Tolerance;
}

double attention_tolerance(const Backend& backend) {
  return backend.options().compute == DType::f32 ? kF32Tolerance : 2e-2;
}

double linear_tolerance(const Backend& backend) {
  return backend.options().compute == DType::i8 ? 2e-2 : product_tolerance(backend);
}

void expect_close(Backend& backend, const Value& got, const Array& want, double tolerance) {
  ASSERT_TRUE(got);
  ASSERT_EQ(to_string(got.shape()), to_string(want.shape));
  ASSERT_EQ(got.dtype(), DType::f32);
  const HostTensor host = backend.download(got);
  ASSERT_EQ(to_string(host.shape()), to_string(want.shape));
  const auto values = host.values<float>();
  double largest = 0.0;
  for (const double value : want.values) largest = std::max(largest, std::fabs(value));
  double worst = 0.0;
  std::size_t where = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double error = std::fabs(static_cast<double>(values[i]) - want.values[i]);
    if (!(error <= worst)) {
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      where = i;
    }
  }
  EXPECT_LE(worst, tolerance * largest) << "at element " << where << " of " << to_string(want.shape) << ": got "
                                        << values[where] << ", want " << want.values[where];
}

void expect_ids(Backend& backend, const Value& got, const Shape& shape, const std::vector<std::int64_t>& want) {
  ASSERT_TRUE(got);
  ASSERT_EQ(to_string(got.shape()), to_string(shape));
  ASSERT_EQ(got.dtype(), DType::i64);
  const HostTensor host = backend.download(got);
  const auto ids = host.values<std::int64_t>();
  EXPECT_EQ(std::vector<std::int64_t>(ids.begin(), ids.end()), want);
}

void expect_error(ErrorCode code, std::string_view beginning, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_TRUE(std::string_view(error.what()).starts_with(beginning)) << error.what();
    return;
  }
  ADD_FAILURE() << "no error that begins with " << beginning;
}

namespace reference {

double activation(double x, Activation activation) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::gelu: return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::quick_gelu: return x / (1.0 + std::exp(-1.702 * x));
    case Activation::relu: return std::max(x, 0.0);
    case Activation::relu6: return std::min(std::max(x, 0.0), 6.0);
    case Activation::tanh: return std::tanh(x);
    case Activation::silu: return x / (1.0 + std::exp(-x));
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Array map(const Array& x, const std::function<double(double)>& function) {
  Array y = x;
  for (double& value : y.values) value = function(value);
  return y;
}

Array linear(const Array& x, const Array& weights, const Array& bias) {
  const std::int64_t out = weights.shape[0], in = weights.shape[1];
  Array y = zeros(x.shape.with_cols(out));
  for (std::int64_t r = 0; r < x.shape.rows(); ++r)
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = bias.values.empty() ? 0.0 : bias[o];
      for (std::int64_t i = 0; i < in; ++i) sum += x[r * in + i] * weights[o * in + i];
      y[r * out + o] = sum;
    }
  return y;
}

Array layer_norm(const Array& x, const Array& gamma, const Array& beta, double eps) {
  Array y = x;
  const std::int64_t cols = x.shape.cols();
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    double mean = 0.0, variance = 0.0;
    for (std::int64_t i = 0; i < cols; ++i) mean += x[r * cols + i] / static_cast<double>(cols);
    for (std::int64_t i = 0; i < cols; ++i) variance += std::pow(x[r * cols + i] - mean, 2) / static_cast<double>(cols);
    for (std::int64_t i = 0; i < cols; ++i)
      y[r * cols + i] = gamma[i] * (x[r * cols + i] - mean) / std::sqrt(variance + eps) + beta[i];
  }
  return y;
}

Array attention(const Array& q, const Array& k, const Array& v, std::int64_t heads, const Array& mask, bool causal) {
  const std::int64_t batch = q.shape[0], key_batch = k.shape[0], lq = q.shape[1], lk = k.shape[1];
  const std::int64_t width = q.shape[2], value_width = v.shape[2], d = width / heads, dv = value_width / heads;
  Array y = zeros({batch, lq, value_width});
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t i = 0; i < lq; ++i) {
        const std::int64_t keys = b / (batch / key_batch);
        std::vector<double> weight(static_cast<std::size_t>(lk), 0.0);
        double total = 0.0;
        for (std::int64_t j = 0; j < lk; ++j) {
          if (causal && j > i) continue;
          if (!mask.values.empty() && mask[keys * lk + j] == 0.0) continue;
          double score = 0.0;
          for (std::int64_t c = h * d; c < (h + 1) * d; ++c)
            score += q[(b * lq + i) * width + c] * k[(keys * lk + j) * width + c];
          total += weight[static_cast<std::size_t>(j)] = std::exp(score / std::sqrt(static_cast<double>(d)));
        }
        for (std::int64_t j = 0; j < lk && total > 0.0; ++j)
          for (std::int64_t c = h * dv; c < (h + 1) * dv; ++c)
            y[(b * lq + i) * value_width + c] +=
                weight[static_cast<std::size_t>(j)] / total * v[(keys * lk + j) * value_width + c];
      }
  return y;
}

Array conv2d(const Array& x, const Array& weights, const Array& bias, const Conv2dOptions& o) {
  const std::int64_t batch = x.shape[0], height = x.shape[1], width = x.shape[2], in = x.shape[3];
  const std::int64_t out = weights.shape[0], group_in = weights.shape[1], kh = weights.shape[2], kw = weights.shape[3];
  const std::int64_t out_height = (height + o.pad_top + o.pad_bottom - kh) / o.stride + 1;
  const std::int64_t out_width = (width + o.pad_left + o.pad_right - kw) / o.stride + 1;
  Array y = zeros({batch, out_height, out_width, out});
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t r = 0; r < out_height; ++r)
      for (std::int64_t c = 0; c < out_width; ++c)
        for (std::int64_t n = 0; n < out; ++n) {
          double sum = bias.values.empty() ? 0.0 : bias[n];
          const std::int64_t first = n / (out / o.groups) * group_in;
          for (std::int64_t m = 0; m < group_in; ++m)
            for (std::int64_t i = 0; i < kh; ++i)
              for (std::int64_t j = 0; j < kw; ++j) {
                const std::int64_t row = r * o.stride + i - o.pad_top, col = c * o.stride + j - o.pad_left;
                if (row < 0 || row >= height || col < 0 || col >= width) continue;
                sum += x[((b * height + row) * width + col) * in + first + m] *
                       weights[((n * group_in + m) * kh + i) * kw + j];
              }
          y[((b * out_height + r) * out_width + c) * out + n] = activation(sum, o.activation);
        }
  return y;
}

Array softmax(const Array& x) {
  Array y = x;
  const std::int64_t cols = x.shape.cols();
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    double highest = x[r * cols], total = 0.0;
    for (std::int64_t i = 0; i < cols; ++i) highest = std::max(highest, x[r * cols + i]);
    for (std::int64_t i = 0; i < cols; ++i) total += y[r * cols + i] = std::exp(x[r * cols + i] - highest);
    for (std::int64_t i = 0; i < cols; ++i) y[r * cols + i] /= total;
  }
  return y;
}

Array broadcast(const std::vector<Array>& operands, const std::function<double(const std::vector<double>&)>& function) {
  std::vector<std::int64_t> sizes;
  for (const Array& operand : operands) {
    const auto& own = operand.shape.sizes();
    if (own.size() > sizes.size()) sizes.insert(sizes.begin(), own.size() - sizes.size(), 1);
    for (std::size_t i = 0; i < own.size(); ++i) {
      std::int64_t& size = sizes[sizes.size() - own.size() + i];
      size = own[i] == 1 ? size : own[i];
    }
  }
  Array y = zeros(Shape(sizes));
  for (std::int64_t flat = 0; flat < y.shape.numel(); ++flat) {
    std::vector<double> arguments;
    for (const Array& operand : operands) {
      const auto& own = operand.shape.sizes();
      std::int64_t rest = flat, index = 0, stride = 1;
      for (std::size_t back = 1; back <= own.size(); ++back) {
        const std::int64_t size = sizes[sizes.size() - back], own_size = own[own.size() - back];
        index += (own_size == 1 ? 0 : rest % size) * stride;
        rest /= size;
        stride *= own_size;
      }
      arguments.push_back(operand[index]);
    }
    y[flat] = function(arguments);
  }
  return y;
}

Array permute(const Array& x, const std::vector<int>& axes) {
  const std::size_t rank = axes.size();
  std::vector<std::int64_t> sizes(rank), strides(rank, 1);
  for (std::size_t i = rank - 1; i > 0; --i) strides[i - 1] = strides[i] * x.shape.sizes()[i];
  for (std::size_t i = 0; i < rank; ++i) sizes[i] = x.shape[axes[i]];
  Array y = zeros(Shape(sizes));
  for (std::int64_t flat = 0; flat < y.shape.numel(); ++flat) {
    std::int64_t rest = flat, source = 0;
    for (std::size_t i = rank; i-- > 0; rest /= sizes[i])
      source += rest % sizes[i] * strides[static_cast<std::size_t>(axes[i])];
    y[flat] = x[source];
  }
  return y;
}

}  // namespace reference
}  // namespace capdiff::test
