#include "capdiff/text/whole_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;

TEST(WholeWords, AreNeitherSpecialNorPiecesNorPunctuation) {
  const Vocabulary vocabulary = Vocabulary::parse(
      "[PAD]\n[unused7]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n...\n—\n,\na\n##a\n##.\ndog\n7\nt-shirt\n[\n", "tiny");
  EXPECT_THAT(whole_words(vocabulary), ElementsAre(false, false, false, false, false, false, false, false, false, false,
                                                   true, false, false, true, true, true, false));
}

TEST(BestAllowed, TakesTheMostLikelyThatMayStandThere) {
  const std::vector<float> logits{5.0f, 4.0f, 3.0f, 2.0f, 2.0f};
  const std::vector<bool> allowed{false, true, true, true, true};
  EXPECT_EQ(best_allowed(logits, allowed, {}, {}), 1);
  EXPECT_EQ(best_allowed(logits, allowed, 1, {}), 2);
  EXPECT_EQ(best_allowed(logits, allowed, 2, 1), 3);
  EXPECT_EQ(best_allowed(logits, allowed, 0, 4), 1);
}

TEST(BestAllowed, NeedsAWord) {
  test::expect_error(ErrorCode::invalid_model, "no word", [] {
    best_allowed(std::vector<float>{1.0f, 2.0f}, {false, true}, 1, {});
  });
}

}  // namespace
}  // namespace capdiff
