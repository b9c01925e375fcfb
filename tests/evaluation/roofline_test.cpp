#include "capdiff/evaluation/roofline.h"

#include <gtest/gtest.h>

namespace capdiff::test {
namespace {

TEST(Roofline, AStageIsBoundByWhatTakesLonger) {
  StageTally stage;
  stage.products = {{{8, 4, 4}, 3}, {{2, 4, 4}, 1}};  // 3 · 256 + 64 floating-point operations
  stage.flop = 2.0 * 832;                             // as much again in attention
  stage.bytes = 100.0;
  Ceilings ceilings{.product_seconds = {{{8, 4, 4}, 2.0}, {{2, 4, 4}, 1.0}}, .bytes_per_second = 50.0};
  const auto matrix = stage_ceiling(stage, ceilings);
  ASSERT_TRUE(matrix);
  EXPECT_DOUBLE_EQ(matrix->matrix_seconds, 2 * (3 * 2.0 + 1.0));
  EXPECT_DOUBLE_EQ(matrix->memory_seconds, 2.0);
  EXPECT_FALSE(matrix->bound_by_memory());
  EXPECT_DOUBLE_EQ(matrix->seconds(), 14.0);

  ceilings.bytes_per_second = 5.0;
  const auto memory = stage_ceiling(stage, ceilings);
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->bound_by_memory());
  EXPECT_DOUBLE_EQ(memory->seconds(), 20.0);
}

TEST(Roofline, AStageWithoutProductsHasNoCeiling) {
  StageTally stage;
  stage.bytes = 10.0;
  EXPECT_FALSE(stage_ceiling(stage, {.product_seconds = {}, .bytes_per_second = 1.0}));
}

TEST(Roofline, MeasuresEveryProduct) {
  Measurements measured;
  measured.stages[CaptionStage::encoder].products = {{{3, 5, 7}, 1}};
  measured.stages[CaptionStage::step].products = {{{3, 5, 7}, 2}, {{1, 9, 2}, 1}};
  const auto backend = make_onednn_backend({.threads = 1});
  const Ceilings ceilings = measure_ceilings(*backend, measured);
  ASSERT_EQ(ceilings.product_seconds.size(), 2u);
  EXPECT_GT(ceilings.product_seconds.at({3, 5, 7}), 0.0);
  EXPECT_GT(ceilings.product_seconds.at({1, 9, 2}), 0.0);
  EXPECT_GT(ceilings.bytes_per_second, 0.0);
}

}  // namespace
}  // namespace capdiff::test
