#pragma once

#include "capdiff/evaluation/verify.h"

namespace capdiff {

/// Recomputes golden gradients and optimiser steps with LibTorch, by the functions that training itself uses.
class TorchGradientCheck final : public GradientCheck {
 public:
  void check_ladic(const LadicGolden& golden, GoldenTensors& tensors) override;
  void check_prefix(const PrefixGolden& golden, GoldenTensors& tensors) override;
  void check_autoregressive(const AutoregressiveGolden& golden, GoldenTensors& tensors) override;
};

}  // namespace capdiff
