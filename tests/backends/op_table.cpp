#include "tests/backends/op_table.h"

#include "tests/backends/op_reference.h"

namespace capdiff::test {

std::vector<OperationCase> operation_cases() {
  std::vector<OperationCase> cases;
  append_layer_cases(cases);
  append_attention_cases(cases);
  append_convolution_cases(cases);
  append_elementwise_cases(cases);
  append_shape_cases(cases);
  append_reduction_cases(cases);
  return cases;
}

}  // namespace capdiff::test
