#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"

namespace capdiff::test {

/// One property of one operation. `check` runs it on a backend and compares the result with a plain double-precision
/// reference through gtest's EXPECT_ and ASSERT_ macros. Tolerances follow `backend.options().compute`.
struct OperationCase {
  std::string name;  ///< letters and digits, as gtest wants it: "LinearAddsResidual"
  std::function<void(Backend&)> check;
};

/// Every operation of the vocabulary. A backend's test instantiates it:
///
///     class TorchOperations : public testing::TestWithParam<OperationCase> {};
///     TEST_P(TorchOperations, F32) { GetParam().check(*make_torch_backend({})); }
///     INSTANTIATE_TEST_SUITE_P(Table, TorchOperations, testing::ValuesIn(operation_cases()), case_name);
std::vector<OperationCase> operation_cases();

/// Names a parameterised test after its case.
inline std::string case_name(const testing::TestParamInfo<OperationCase>& info) {
  return info.param.name;
}

inline void PrintTo(const OperationCase& operation, std::ostream* out) {
  *out << operation.name;
}

}  // namespace capdiff::test
