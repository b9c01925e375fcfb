#include "capdiff/tensor/shape.h"

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using test::expect_error;

TEST(Shape, CountsElementsRowsAndColumns) {
  const Shape shape{2, 24, 768};
  EXPECT_EQ(shape.rank(), 3u);
  EXPECT_EQ(shape.numel(), 36864);
  EXPECT_EQ(shape.rows(), 48);
  EXPECT_EQ(shape.cols(), 768);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 768);
  EXPECT_EQ(to_string(shape), "[2, 24, 768]");
  EXPECT_EQ(shape.with_cols(9), (Shape{2, 24, 9}));
}

TEST(Shape, ScalarHasOneElement) {
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ(Shape{}.rows(), 1);
  EXPECT_EQ(Shape{}.cols(), 1);
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ((Shape{3, 0, 5}).numel(), 0);
}

TEST(Shape, RejectsNegativeAndEnormousSizes) {
  expect_error(ErrorCode::invalid_input, "-1", [] { Shape{2, -1}; });
  expect_error(ErrorCode::invalid_input, "63 bits", [] { Shape{std::int64_t{1} << 32, std::int64_t{1} << 31}; });
  expect_error(ErrorCode::internal, "axis 2", [] { static_cast<void>((Shape{1, 2})[2]); });
  expect_error(ErrorCode::internal, "axis -3", [] { static_cast<void>((Shape{1, 2})[-3]); });
}

}  // namespace
}  // namespace capdiff
