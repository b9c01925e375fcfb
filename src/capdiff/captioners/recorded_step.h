#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// A call of the network, recorded (`Backend::record`) for each weight of guidance: both of its branches and what
/// becomes of them.
class RecordedStep {
 public:
  /// x̂0 [B, L, D] of `inputs`, whatever they are; without guidance where that is 0.
  using Step = std::function<Value(std::span<const Value> inputs, double guidance)>;

  RecordedStep(Backend& backend, Step step) : backend_(&backend), step_(std::move(step)) {}

  Value operator()(std::span<const Value> inputs, double guidance);

 private:
  Backend* backend_;
  Step step_;
  std::map<double, Computation> recorded_;
};

/// What the network is told of the times of a walk, computed before it: row i of `told` [n, W] as [1, W], by times[i].
std::map<std::int64_t, Value> rows_by_time(Backend& backend, std::span<const std::int64_t> times, const Value& told);

}  // namespace capdiff
