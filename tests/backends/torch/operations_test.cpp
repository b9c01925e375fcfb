#include <gtest/gtest.h>

#include "capdiff/backends/torch/torch_backend.h"
#include "tests/backends/op_table.h"

namespace capdiff::test {
namespace {

class TorchOperations : public testing::TestWithParam<OperationCase> {};

TEST_P(TorchOperations, F32) {
  GetParam().check(*make_torch_backend({.compute = DType::f32}));
}

TEST_P(TorchOperations, Bf16) {
  GetParam().check(*make_torch_backend({.compute = DType::bf16}));
}

TEST_P(TorchOperations, InferenceInBf16) {
  const auto backend = make_torch_backend({.compute = DType::bf16});
  backend->infer_only();
  GetParam().check(*backend);
}

TEST_P(TorchOperations, F32OnCuda) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  GetParam().check(*make_torch_backend({.compute = DType::f32}, torch::kCUDA));
}

TEST_P(TorchOperations, Bf16OnCuda) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  GetParam().check(*make_torch_backend({.compute = DType::bf16}, torch::kCUDA));
}

TEST_P(TorchOperations, InferenceInBf16OnCuda) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  const auto backend = make_torch_backend({.compute = DType::bf16}, torch::kCUDA);
  backend->infer_only();
  GetParam().check(*backend);
}

INSTANTIATE_TEST_SUITE_P(Table, TorchOperations, testing::ValuesIn(operation_cases()),
                         [](const auto& test) { return case_name(test); });

}  // namespace
}  // namespace capdiff::test
