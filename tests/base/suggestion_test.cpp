#include "capdiff/base/suggestion.h"

#include <gtest/gtest.h>

namespace capdiff {
namespace {

TEST(Suggestion, OffersTheNearestName) {
  EXPECT_EQ(suggestion("guidence", {"steps", "guidance", "seed"}), "; did you mean \"guidance\"?");
  EXPECT_EQ(suggestion("sed", {"steps", "guidance", "seed"}), "; did you mean \"seed\"?");
}

TEST(Suggestion, SaysNothingWhereNothingIsNear) {
  EXPECT_EQ(suggestion("temperature", {"steps", "guidance", "seed"}), "");
  EXPECT_EQ(suggestion("x", {}), "");
  EXPECT_EQ(suggestion(std::string(100'000, 'x'), {std::string(100'000, 'y')}), "");
}

}  // namespace
}  // namespace capdiff
