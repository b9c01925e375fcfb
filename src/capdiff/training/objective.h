#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff {

/// One training sample: which item of the data set, and its number within the whole run. Every random choice made for a
/// sample (crop, time step, noise, image drop) is keyed by (seed, draw), so it does not depend on batch size, workers
/// or ranks.
struct Sample {
  std::int64_t item = 0;
  std::uint64_t draw = 0;
};

/// A batch made ready on the host.
struct Batch {
  virtual ~Batch() = default;
};

/// The losses of one batch, as scalars with autograd history; `parts` are logged. They are means; `weight` says how
/// much this one counts beside other batches of the same number of samples, where it is not a mean over samples.
struct StepLosses {
  torch::Tensor total;
  std::vector<std::pair<std::string, torch::Tensor>> parts;
  double weight = 1.0;
};

/// What a training stage minimises. The trainer owns the loop, the optimiser and the checkpoints; an objective owns the
/// data, the networks and the loss.
class Objective {
 public:
  virtual ~Objective() = default;

  /// Items of the data set; one epoch visits each once.
  virtual std::int64_t size() const = 0;
  /// Makes a batch ready. Called from several background threads at once while `losses` runs on a batch before, so it
  /// may not touch the backend.
  virtual std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const = 0;
  /// Forward pass. Parameters that receive gradients are the backend's trainable ones.
  virtual StepLosses losses(const Batch& batch) = 0;
};

}  // namespace capdiff
