#include "capdiff/metrics/retrieval.h"

#include <gtest/gtest.h>

#include <vector>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

TEST(Recall, CountsQueriesWhoseOwnEntryIsAmongTheNearest) {
  // Ranks of the own entries: 1, 2 and 3.
  const std::vector<float> nearness{0.9f, 0.1f, 0.2f, 0.8f, 0.7f, 0.1f, 0.5f, 0.6f, 0.4f};
  const HostTensor matrix = HostTensor::of({3, 3}, nearness);
  EXPECT_DOUBLE_EQ(recall_at(matrix, 1), 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(recall_at(matrix, 2), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(recall_at(matrix, 3), 1.0);
}

TEST(Recall, IsNotFooledByEntriesThatAreAllAlike) {
  EXPECT_EQ(recall_at(HostTensor(DType::f32, {4, 4}), 1), 0.0);
  EXPECT_EQ(recall_at(HostTensor(DType::f32, {4, 4}), 4), 1.0);
  EXPECT_THROW(recall_at(HostTensor(DType::f32, {4, 3}), 1), Error);
}

}  // namespace
}  // namespace capdiff
