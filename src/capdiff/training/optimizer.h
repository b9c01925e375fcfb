#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "capdiff/training/named_tensors.h"

namespace capdiff {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;  ///< of every tensor
  /// The share of the learning rate that a tensor gets, by its name; empty: all of it.
  std::function<double(const std::string&)> rate = {};
};

/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) as torch.optim.AdamW computes it,
/// with k counted from 1 per tensor:
///
///     p ← p − lr · weight_decay · p
///     m ← beta1 · m + (1 − beta1) · g,   v ← beta2 · v + (1 − beta2) · g²
///     p ← p − lr / (1 − beta1^k) · m / (sqrt(v / (1 − beta2^k)) + epsilon)
///
/// A tensor without a gradient is left alone altogether, decay included.
class AdamW {
 public:
  enum class Kernel {
    fused,    ///< one pass over the memory; only on the CPU
    foreach,  ///< LibTorch's operations on lists of tensors; any device
  };

  /// The tensors must be contiguous f32.
  AdamW(NamedTensors parameters, AdamWOptions options);
  AdamW(NamedTensors parameters, AdamWOptions options, Kernel kernel);

  void zero_gradients();
  /// Euclidean norm of all gradients together; not finite where one of them is not. The same for any number of threads.
  double gradient_norm() const;
  /// One update with the gradients times `gradient_scale`.
  void step(double learning_rate, double gradient_scale = 1.0);

  /// What a checkpoint keeps: "exp_avg/NAME" and "exp_avg_sq/NAME", f32 like the parameter, and "step/NAME", i64 [1].
  /// Views of the moments rather than copies, where those are on the CPU.
  std::map<std::string, HostTensor> state() const;
  void load_state(const SafetensorsFile& file);

 private:
  void step_fused(double learning_rate, double gradient_scale);
  void step_foreach(double learning_rate, double gradient_scale);

  NamedTensors parameters_;
  AdamWOptions options_;
  Kernel kernel_;
  std::vector<Piece> pieces_;
  std::vector<double> rates_;
  std::vector<torch::Tensor> exp_avg_;     // m
  std::vector<torch::Tensor> exp_avg_sq_;  // v
  std::vector<std::int64_t> steps_;        // k
};

}  // namespace capdiff
