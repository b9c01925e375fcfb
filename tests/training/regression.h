#pragma once

#include <functional>
#include <limits>
#include <memory>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/base/philox.h"
#include "capdiff/training/objective.h"

namespace capdiff::test {

/// Linear regression on made-up points, with dropout so that the backend's generator matters.
class Regression : public Objective {
 public:
  static constexpr std::int64_t kItems = 50, kIn = 8, kOut = 3;

  explicit Regression(TorchBackend& backend, float dropout = 0.1f)
      : backend_(backend),
        dropout_(dropout),
        weights_(backend.bind_linear(std::vector<Parameter>{{"line.weight", HostTensor(DType::f32, {kOut, kIn})}},
                                     std::vector<Parameter>{{"line.bias", HostTensor(DType::f32, {kOut})}})) {}

  std::int64_t size() const override { return kItems; }

  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override {
    auto batch = std::make_unique<Points>();
    const auto rows = static_cast<std::int64_t>(samples.size());
    batch->x = HostTensor(DType::f32, {rows, kIn});
    batch->y = HostTensor(DType::f32, {rows, kOut});
    for (std::size_t row = 0; row < samples.size(); ++row) {
      RandomStream random(1, 100, static_cast<std::uint64_t>(samples[row].item));
      const auto x = batch->x.mutable_values<float>().subspan(row * kIn, kIn);
      const auto y = batch->y.mutable_values<float>().subspan(row * kOut, kOut);
      for (float& value : x) value = static_cast<float>(random.normal());
      for (std::size_t i = 0; i < kOut; ++i) y[i] = 2.0f * x[i] - x[i + 1] + 0.5f;
    }
    return batch;
  }

  StepLosses losses(const Batch& batch) override {
    const auto& points = dynamic_cast<const Points&>(batch);
    const Value x = backend_.dropout(backend_.upload(points.x), dropout_);
    const Value loss =
        backend_.mean_squared_error(backend_.linear(x, weights_, Activation::none, {}), backend_.upload(points.y));
    torch::Tensor total = TorchBackend::tensor(loss);
    if (on_losses) on_losses();
    if (poisoned(calls_++)) total = total * std::numeric_limits<float>::quiet_NaN();
    return {total, {{"squares", total}}};
  }

  std::function<bool(int)> poisoned = [](int) { return false; };
  std::function<void()> on_losses;

 private:
  struct Points : Batch {
    HostTensor x, y;
  };

  TorchBackend& backend_;
  float dropout_;
  Packed weights_;
  int calls_ = 0;
};

}  // namespace capdiff::test
