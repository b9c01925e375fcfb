#include "capdiff/selection/relevance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;

TEST(Relevance, OfEqualsTheFirstIsTaken) {
  const std::vector<double> relevance{0.1, 0.7, -0.2, 0.7};
  EXPECT_EQ(most_relevant(relevance), 1u);
  EXPECT_THAT(by_relevance(relevance), ElementsAre(1, 3, 0, 2));
}

TEST(Relevance, NothingToChooseFromIsAnError) {
  EXPECT_THROW(most_relevant({}), Error);
  EXPECT_TRUE(by_relevance({}).empty());
}

}  // namespace
}  // namespace capdiff
