#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "capdiff/training/named_tensors.h"

namespace capdiff {

/// The exponential moving average of the weights over the steps of training,
///
///     average ← d · average + (1 − d) · weight,   d = min(decay, (1 + k) / (10 + k)) at step k,
///
/// so that the random first weights are forgotten early on; or d = decay at every step.
class MovingAverage {
 public:
  /// Starts at the present weights, which must be contiguous f32. Without `warm_up`, d is the same at every step.
  MovingAverage(NamedTensors parameters, double decay, bool warm_up = true);

  /// Takes the weights after step `step`, counted from 0, into the average.
  void update(std::int64_t step);
  /// Exchanges weights and averages: evaluate in between two calls.
  void swap();
  /// Overwrites the weights with their averages.
  void copy_to_parameters();

  /// The averages under the names of the weights; views rather than copies where those are on the CPU.
  std::map<std::string, HostTensor> state() const;
  void load_state(const SafetensorsFile& file);

 private:
  NamedTensors parameters_;
  double decay_;
  bool warm_up_;
  bool on_cpu_;
  std::vector<Piece> pieces_;
  std::vector<torch::Tensor> averages_;
};

}  // namespace capdiff
