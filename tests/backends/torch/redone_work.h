#pragma once

#include <functional>

#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff::test {

/// A recording without a recorder, for devices that have none: does its work again from the same memory into the same
/// memory, as a CUDA graph does.
class RedoneWork final : public torch_detail::Recording {
 public:
  explicit RedoneWork(std::function<torch::Tensor()> work) : work_(std::move(work)), output_(work_().clone()) {}
  void replay() override { output_.copy_(work_()); }
  const torch::Tensor& output() const override { return output_; }

 private:
  std::function<torch::Tensor()> work_;
  torch::Tensor output_;
};

}  // namespace capdiff::test
