#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/layers.h"
#include "capdiff/backends/onednn/onednn_backend.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

/// Rows of a deterministic matrix product that are computed together, always on one thread.
constexpr std::int64_t kBlockRows = 16;

/// Multiplications of a matrix product that take about as long as one elementary step.
constexpr double kProductsPerStep = 16.0;

double product(std::int64_t a, std::int64_t b, std::int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace

Value OneDnnBackend::linear(const Value& x, const Packed& weights, Activation activation, const Value& residual) {
  const float* const input = floats("linear", x);
  if (!weights.storage()) fail(ErrorCode::internal, "[linear] the weights are missing");
  const auto& layer = static_cast<const LinearLayer&>(*weights.storage());
  const std::int64_t out = weights.shape()[0];
  const std::int64_t in = weights.shape()[1];
  if (x.shape().rank() == 0 || x.shape().cols() != in)
    fail(ErrorCode::internal, "[linear] x has {} columns, the weights expect {}", x.shape().cols(), in);
  const Shape shape = x.shape().with_cols(out);
  if (residual && residual.shape() != shape)
    fail(ErrorCode::internal, "[linear] the residual has shape {}, the result {}", to_string(residual.shape()),
         to_string(shape));
  auto result = output<float>(shape);
  const std::int64_t rows = x.shape().rows();
  if (rows == 0) return result.value;

  MatmulArguments arguments{.x = input,
                            .bias = layer.bias ? layer.bias->values<float>().data() : nullptr,
                            .residual = residual ? floats("linear", residual) : nullptr,
                            .y = result.data};
  const MatmulSpec spec{.rows = rows,
                        .in = in,
                        .out = out,
                        .compute = layer.compute,
                        .bias = layer.bias.has_value(),
                        .activation = activation,
                        .residual = static_cast<bool>(residual),
                        .threads = threads_for(product(rows, in, out) / kProductsPerStep)};
  if (spec.compute == DType::i8) {
    linear_int8(spec, layer, arguments);
    return result.value;
  }
  std::shared_ptr<std::byte> rounded;
  if (spec.compute == DType::bf16) {
    rounded = rounded_to_bf16(input, x.shape().numel());
    arguments.x = rounded.get();
  }
  if (options_.deterministic) {
    linear_by_blocks(spec, *layer.weights, arguments);
    return result.value;
  }
  if (matmul_.run(spec, *layer.weights, arguments)) return result.value;
  const std::int64_t n = shape.numel();
  parallel_ranges(n, threads_for(static_cast<double>(n)), [&](std::int64_t begin, std::int64_t end) {
    float* const y = result.data + begin;
    activate(activation, y, y, end - begin);
    if (arguments.residual) accumulate(arguments.residual + begin, y, end - begin);
  });
  return result.value;
}

void OneDnnBackend::linear_by_blocks(const MatmulSpec& whole, const PackedWeights& weights,
                                     const MatmulArguments& arguments) {
  MatmulSpec spec = whole;
  spec.rows = kBlockRows;
  spec.threads = 1;
  spec.activation = Activation::none;
  spec.residual = false;
  const std::size_t row_bytes = static_cast<std::size_t>(spec.in) * size_of(spec.compute);
  const std::int64_t blocks = (whole.rows + kBlockRows - 1) / kBlockRows;
  parallel_ranges(blocks, whole.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kBlockRows;
      const std::int64_t rows = std::min(kBlockRows, whole.rows - first);
      MatmulArguments part = arguments;
      part.x = static_cast<const std::byte*>(arguments.x) + static_cast<std::size_t>(first) * row_bytes;
      float* const y = arguments.y + first * spec.out;
      part.y = y;
      std::shared_ptr<std::byte> padded_x, padded_y;
      if (rows < kBlockRows) {
        padded_x = pool_->allocate(kBlockRows * row_bytes);
        padded_y = pool_->allocate(static_cast<std::size_t>(kBlockRows * spec.out) * sizeof(float));
        const std::size_t used = static_cast<std::size_t>(rows) * row_bytes;
        std::memcpy(padded_x.get(), part.x, used);
        std::memset(padded_x.get() + used, 0, kBlockRows * row_bytes - used);
        part.x = padded_x.get();
        part.y = reinterpret_cast<float*>(padded_y.get());
      }
      [[maybe_unused]] const bool complete = matmul_.run(spec, weights, part);
      assert(complete);
      if (rows < kBlockRows) std::copy_n(part.y, rows * spec.out, y);
      activate(whole.activation, y, y, rows * spec.out);
      if (arguments.residual) accumulate(arguments.residual + first * spec.out, y, rows * spec.out);
    }
  });
}

Value OneDnnBackend::layer_norm(const Value& x, const Value& gamma, const Value& beta, float eps,
                                const Value& residual) {
  const float* const input = floats("layer_norm", x);
  const float* const scale = floats("layer_norm", gamma);
  const float* const shift = floats("layer_norm", beta);
  const float* const other = residual ? floats("layer_norm", residual) : nullptr;
  const std::int64_t cols = x.shape().cols();
  if (x.shape().rank() == 0 || gamma.shape() != Shape{cols} || beta.shape() != Shape{cols})
    fail(ErrorCode::internal, "[layer_norm] x has {} columns, gamma has shape {} and beta {}", cols,
         to_string(gamma.shape()), to_string(beta.shape()));
  if (residual && residual.shape() != x.shape())
    fail(ErrorCode::internal, "[layer_norm] the residual has shape {}, x {}", to_string(residual.shape()),
         to_string(x.shape()));
  auto result = output<float>(x.shape());
  parallel_ranges(x.shape().rows(), threads_for(static_cast<double>(x.shape().numel())),
                  [&](std::int64_t begin, std::int64_t end) {
                    const std::int64_t first = begin * cols;
                    layer_norm_rows(input + first, other ? other + first : nullptr, scale, shift, eps,
                                    result.data + first, end - begin, cols);
                  });
  return result.value;
}

Value OneDnnBackend::embedding(const Value& table, const Value& ids) {
  const float* const rows = floats("embedding", table);
  const std::int64_t* const wanted = integers("embedding", ids);
  if (table.shape().rank() != 2)
    fail(ErrorCode::internal, "[embedding] the table has shape {}, expected [V, D]", to_string(table.shape()));
  const std::int64_t size = table.shape()[0], width = table.shape()[1];
  std::vector<std::int64_t> sizes = ids.shape().sizes();
  sizes.push_back(width);
  auto result = output<float>(Shape(std::move(sizes)));
  for (std::int64_t i = 0; i < ids.shape().numel(); ++i) {
    if (wanted[i] < 0 || wanted[i] >= size)
      fail(ErrorCode::invalid_input, "[embedding] id {} is outside the table of {} rows", wanted[i], size);
    std::copy_n(rows + wanted[i] * width, width, result.data + i * width);
  }
  return result.value;
}

Value OneDnnBackend::conv2d(const Value& x, const Packed& weights, const Conv2dOptions& options) {
  const float* const input = floats("conv2d", x);
  if (!weights.storage()) fail(ErrorCode::internal, "[conv2d] the weights are missing");
  const auto& layer = static_cast<const ConvLayer&>(*weights.storage());
  const Shape& kernel = weights.shape();
  if (x.shape().rank() != 4 || x.shape()[3] != kernel[1] * layer.groups)
    fail(ErrorCode::internal, "[conv2d] x has shape {}, the weights expect [B, H, W, {}]", to_string(x.shape()),
         kernel[1] * layer.groups);
  if (options.groups != layer.groups)
    fail(ErrorCode::internal, "[conv2d] {} groups are asked for, the weights are bound with {}", options.groups,
         layer.groups);
  // Larger paddings would only add zeros, and sums of sizes cannot overflow below this.
  constexpr std::int64_t kMaxPadding = 1 << 20;
  for (const std::int64_t padding : {options.pad_top, options.pad_left, options.pad_bottom, options.pad_right})
    if (padding < 0 || padding > kMaxPadding) fail(ErrorCode::internal, "[conv2d] a padding of {}", padding);
  if (options.stride < 1) fail(ErrorCode::internal, "[conv2d] a stride of {}", options.stride);

  ConvSpec spec{.batch = x.shape()[0],
                .height = x.shape()[1],
                .width = x.shape()[2],
                .in = x.shape()[3],
                .out = kernel[0],
                .kernel_height = kernel[2],
                .kernel_width = kernel[3],
                .stride = options.stride,
                .groups = layer.groups,
                .pad_top = options.pad_top,
                .pad_left = options.pad_left,
                .pad_bottom = options.pad_bottom,
                .pad_right = options.pad_right,
                .compute = options_.compute == DType::i8 ? DType::f32 : options_.compute,
                .bias = layer.weights.bias() != nullptr,
                .activation = options.activation,
                .threads = threads_};
  const std::int64_t rows = spec.height + spec.pad_top + spec.pad_bottom - spec.kernel_height;
  const std::int64_t cols = spec.width + spec.pad_left + spec.pad_right - spec.kernel_width;
  if (rows < 0 || cols < 0 || x.shape().numel() == 0)
    fail(ErrorCode::internal, "[conv2d] x {} is smaller than the kernel {}", to_string(x.shape()), to_string(kernel));
  spec.out_height = rows / spec.stride + 1;
  spec.out_width = cols / spec.stride + 1;
  auto result = output<float>({spec.batch, spec.out_height, spec.out_width, spec.out});

  const std::int64_t images = options_.deterministic ? spec.batch : 1;
  spec.batch /= images;
  if (options_.deterministic) spec.threads = 1;
  if (spec.compute == DType::bf16 && !conv_.supports(spec)) spec.compute = DType::f32;

  std::shared_ptr<std::byte> rounded;
  auto* bytes = reinterpret_cast<const std::byte*>(input);
  if (spec.compute == DType::bf16) {
    rounded = rounded_to_bf16(input, x.shape().numel());
    bytes = rounded.get();
  }
  const std::size_t image_bytes = static_cast<std::size_t>(x.shape().numel() / images) * size_of(spec.compute);
  const std::int64_t image_size = result.value.shape().numel() / images;
  parallel_ranges(images, options_.deterministic ? threads_ : 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      conv_.run(spec, layer.weights, bytes + static_cast<std::size_t>(i) * image_bytes, result.data + i * image_size);
  });
  return result.value;
}

Value OneDnnBackend::dropout(const Value& x, float p) {
  floats("dropout", x);
  if (!(p >= 0.0f && p < 1.0f)) fail(ErrorCode::internal, "[dropout] p is {}, expected [0, 1)", p);
  return x;
}

}  // namespace capdiff::onednn
