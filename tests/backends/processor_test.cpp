#include "capdiff/backends/processor.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace capdiff::test {
namespace {

TEST(Processor, NamesArithmeticAsOptionsDo) {
  EXPECT_EQ(compute_name(DType::f32), "f32");
  EXPECT_EQ(compute_name(DType::bf16), "bf16");
  EXPECT_EQ(compute_name(DType::i8), "int8");
  for (const DType compute : {DType::f32, DType::bf16, DType::i8})
    EXPECT_EQ(compute_type_of(compute_name(compute)), compute);
  EXPECT_EQ(compute_type_of("auto"), automatic_compute_type());
}

TEST(Processor, AmxDecidesTheTypeByItself) {
  const std::vector<std::string> flags = processor_flags();
  const bool amx = std::ranges::find(flags, "amx_bf16") != flags.end();
  EXPECT_EQ(automatic_compute_type(), amx ? DType::bf16 : DType::f32);
}

}  // namespace
}  // namespace capdiff::test
