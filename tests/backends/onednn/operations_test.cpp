#include <gtest/gtest.h>

#include "tests/backends/op_table.h"

namespace capdiff::test {
namespace {

class OneDnnOperations : public testing::TestWithParam<OperationCase> {};

TEST_P(OneDnnOperations, F32) {
  GetParam().check(*make_onednn_backend({}));
}

TEST_P(OneDnnOperations, Bf16) {
  GetParam().check(*make_onednn_backend({.compute = DType::bf16}));
}

TEST_P(OneDnnOperations, Int8) {
  GetParam().check(*make_onednn_backend({.compute = DType::i8}));
}

TEST_P(OneDnnOperations, Deterministic) {
  GetParam().check(*make_onednn_backend({.threads = 3, .deterministic = true}));
}

TEST_P(OneDnnOperations, DeterministicBf16) {
  GetParam().check(*make_onednn_backend({.compute = DType::bf16, .deterministic = true}));
}

INSTANTIATE_TEST_SUITE_P(Table, OneDnnOperations, testing::ValuesIn(operation_cases()), case_name);

}  // namespace
}  // namespace capdiff::test
