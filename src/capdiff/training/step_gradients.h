#pragma once

#include <cstdint>

#include "capdiff/training/batch_loader.h"
#include "capdiff/training/named_tensors.h"
#include "capdiff/training/objective.h"
#include "capdiff/training/ranks.h"

namespace capdiff {

/// The samples of an optimiser step that one rank works on: of each step its own contiguous part, and of that `parts`
/// batches, one after the other. Throws `Error(usage)` where `batch`, the samples of a whole step, cannot be divided
/// evenly.
SampleShare share_of_rank(std::int64_t batch, std::int64_t accumulate, const Ranks& ranks);

/// Computes the gradients of whole steps, however many ranks and batches a step is divided among: those of the mean
/// over all its samples.
class StepGradients {
 public:
  /// Everything must outlive it.
  StepGradients(Objective& objective, TorchBackend& backend, NamedTensors trainable, Ranks& ranks, std::uint64_t seed);

  /// Runs the batches of one step and leaves the gradients in the trainable parameters, the same on every rank. Returns
  /// the losses of the whole step.
  StepLosses compute(BatchLoader& loader, std::int64_t step, std::int64_t parts);

 private:
  StepLosses run(BatchLoader& loader, std::int64_t step, std::int64_t part, std::int64_t parts);

  Objective& objective_;
  TorchBackend& backend_;
  NamedTensors trainable_;
  Ranks& ranks_;
  std::uint64_t seed_;
};

/// Sums gradients over all ranks, in buckets of about 25 MB: a tensor without a gradient on any rank stays without one.
void sum_gradients(const NamedTensors& parameters, Ranks& ranks);

}  // namespace capdiff
