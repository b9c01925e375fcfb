#include "capdiff/selection/near_duplicates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capdiff {
namespace {

using testing::ElementsAre;

TEST(SharedWords, CountsWordsAndPairsOfBoth) {
  EXPECT_EQ(shared_words("A man, on a horse.", "a man on a horse"), 1.0);
  EXPECT_EQ(shared_words("two dogs", "a red car"), 0.0);
  // Words a b c and a b d, pairs a-b b-c and a-b b-d: 2 · 3 of 10.
  EXPECT_DOUBLE_EQ(shared_words("a b c", "a b d"), 0.6);
  // Other order, same words: only the pairs differ.
  EXPECT_DOUBLE_EQ(shared_words("a b", "b a"), 2.0 * 2.0 / 6.0);
  // A word that is said twice counts twice where both say it twice.
  EXPECT_DOUBLE_EQ(shared_words("a a", "a"), 0.5);
  EXPECT_EQ(shared_words("", "."), 1.0);
}

TEST(NearDuplicates, AreLeftOutBehindTheTextThatTheyRepeat) {
  const std::vector<std::string> texts{"a man rides a horse", "a man rides a horse", "a man rides a brown horse",
                                       "two dogs in the snow", "Two dogs in the snow!"};
  EXPECT_THAT(without_near_duplicates(texts, 1.0), ElementsAre(0, 2, 3));
  EXPECT_THAT(without_near_duplicates(texts, 0.6), ElementsAre(0, 3));
  EXPECT_THAT(without_near_duplicates(texts, 0.0), ElementsAre(0));
  EXPECT_TRUE(without_near_duplicates({}, 0.5).empty());
}

TEST(NearDuplicates, OnlyTextsThatStayLeaveOthersOut) {
  // The second is near both others, which are not near each other.
  const std::vector<std::string> texts{"a b c d", "c d e f", "e f g h"};
  EXPECT_THAT(without_near_duplicates(texts, 0.4), ElementsAre(0, 2));
}

}  // namespace
}  // namespace capdiff
