#include "capdiff/backends/onednn/kernels_int8.h"
#include "capdiff/backends/onednn/layers.h"
#include "capdiff/backends/onednn/onednn_backend.h"
#include "capdiff/backends/onednn/parallel.h"

namespace capdiff::onednn {
namespace {

/// Numbers that are quantised, and products of 8-bit integers, in about the time of one elementary step.
constexpr double kInputsPerStep = 4.0;
constexpr double kInt8ProductsPerStep = 64.0;

}  // namespace

void OneDnnBackend::bind_int8(const HostTensor& weights, int threads, LinearLayer& layer) {
  const std::int64_t out = weights.shape()[0], in = weights.shape()[1];
  const std::shared_ptr<std::byte> memory = pool_->allocate(static_cast<std::size_t>(weights.numel()));
  auto* const integers = reinterpret_cast<std::int8_t*>(memory.get());
  layer.scales.scale.resize(static_cast<std::size_t>(out));
  layer.scales.sum.resize(static_cast<std::size_t>(out));
  parallel_ranges(out, threads, [&](std::int64_t begin, std::int64_t end) {
    quantize_weights(weights.values<float>().data() + begin * in, integers + begin * in,
                     layer.scales.scale.data() + begin, layer.scales.sum.data() + begin, end - begin, in);
  });
  layer.weights = Matmul::pack(integers, out, in, DType::i8, threads);
}

void OneDnnBackend::linear_int8(const MatmulSpec& spec, const LinearLayer& layer, const MatmulArguments& arguments) {
  const std::int64_t rows = spec.rows, in = spec.in, out = spec.out;
  const auto* const x = static_cast<const float*>(arguments.x);
  const std::shared_ptr<std::byte> integers = pool_->allocate(checked_bytes({rows, in}, 1));
  const std::shared_ptr<std::byte> row_scales = pool_->allocate(checked_bytes({rows}, sizeof(RowScale)));
  auto* const u = reinterpret_cast<std::uint8_t*>(integers.get());
  auto* const scales = reinterpret_cast<RowScale*>(row_scales.get());
  const double inputs = static_cast<double>(rows) * static_cast<double>(in);
  const double outputs = static_cast<double>(rows) * static_cast<double>(out);

  parallel_ranges(rows, threads_for(inputs / kInputsPerStep), [&](std::int64_t begin, std::int64_t end) {
    quantize_rows(x + begin * in, u + begin * in, scales + begin, end - begin, in);
  });
  const MatmulSpec product{.rows = rows,
                           .in = in,
                           .out = out,
                           .compute = DType::i8,
                           .threads = threads_for(inputs * static_cast<double>(out) / kInt8ProductsPerStep)};
  [[maybe_unused]] const bool complete = matmul_.run(product, *layer.weights, {.x = u, .y = arguments.y});
  parallel_ranges(rows, threads_for(outputs), [&](std::int64_t begin, std::int64_t end) {
    const Int8Epilogue epilogue{.rows = scales + begin,
                                .channels = &layer.scales,
                                .bias = arguments.bias,
                                .activation = spec.activation,
                                .residual = arguments.residual ? arguments.residual + begin * out : nullptr};
    finish_int8_rows(epilogue, arguments.y + begin * out, end - begin, out);
  });
}

}  // namespace capdiff::onednn
