#include "capdiff/evaluation/roofline.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "capdiff/base/philox.h"

namespace capdiff {
namespace {

constexpr double kRoundSeconds = 0.02;
constexpr int kRounds = 5;
constexpr std::int64_t kSumElements = std::int64_t{1} << 24;  ///< 64 MiB

/// Values in [−1, 1) that are no special case of any arithmetic.
HostTensor plain_numbers(const Shape& shape) {
  HostTensor tensor(DType::f32, shape);
  RandomStream random(0, 0, 0);
  for (float& value : tensor.mutable_values<float>()) value = static_cast<float>(random.uniform(-1.0, 1.0));
  return tensor;
}

/// Waits for a result, on devices that do not compute while they are called.
void wait_for(Backend& backend, const Value& y) {
  backend.download(backend.slice(y, 0, 0, 1));
}

/// Seconds of the call in the best of a few rounds. `operation` gives a Value of rank 1 or more.
template <class Operation>
double best_seconds(Backend& backend, Operation&& operation) {
  const auto seconds_of = [&](std::int64_t calls) {
    const auto start = std::chrono::steady_clock::now();
    Value y;
    for (std::int64_t i = 0; i < calls; ++i) y = operation();
    wait_for(backend, y);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(calls);
  };
  seconds_of(1);
  const double once = seconds_of(1);
  const auto calls = std::max<std::int64_t>(1, static_cast<std::int64_t>(kRoundSeconds / std::max(once, 1e-7)));
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < kRounds; ++round) best = std::min(best, seconds_of(calls));
  return best;
}

double product_seconds(Backend& backend, const ProductShape& product) {
  const std::vector<Parameter> weights{{"weights", plain_numbers({product.out, product.in})}};
  const std::vector<Parameter> biases{{"biases", plain_numbers({product.out})}};
  const Packed packed = backend.bind_linear(weights, biases);
  const Value x = backend.upload(plain_numbers({product.rows, product.in}));
  return best_seconds(backend, [&] { return backend.linear(x, packed); });
}

}  // namespace

Ceilings measure_ceilings(Backend& backend, const Measurements& measured) {
  Ceilings ceilings;
  for (const auto& [name, stage] : measured.stages)
    for (const auto& [product, calls] : stage.products)
      if (!ceilings.product_seconds.contains(product))
        ceilings.product_seconds[product] = product_seconds(backend, product);
  const Value a = backend.upload(plain_numbers({kSumElements})), b = backend.upload(plain_numbers({kSumElements}));
  ceilings.bytes_per_second =
      3.0 * kSumElements * sizeof(float) / best_seconds(backend, [&] { return backend.add(a, b); });
  return ceilings;
}

std::optional<StageCeiling> stage_ceiling(const StageTally& stage, const Ceilings& ceilings) {
  if (stage.products.empty()) return std::nullopt;
  double seconds = 0.0, flop = 0.0;
  for (const auto& [product, calls] : stage.products) {
    seconds += static_cast<double>(calls) * ceilings.product_seconds.at(product);
    flop += static_cast<double>(calls) * product.flop();
  }
  return StageCeiling{.matrix_seconds = seconds * stage.flop / flop,
                      .memory_seconds = stage.bytes / ceilings.bytes_per_second};
}

}  // namespace capdiff
