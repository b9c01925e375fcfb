#include "capdiff/text/caption_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using Lengths = std::vector<std::int64_t>;

TEST(CaptionTemplate, CutsSentencesIntoTextAndBlanks) {
  const CaptionTemplate parsed = parse_caption_template("a [MASK] [UNK:2-4] on the grass");
  ASSERT_EQ(parsed.parts.size(), 5u);
  EXPECT_EQ(parsed.parts[0].text, "a ");
  EXPECT_FALSE(parsed.parts[0].is_blank());
  EXPECT_TRUE(parsed.parts[1].is_blank());
  EXPECT_EQ(parsed.parts[1].min_words, 1);
  EXPECT_EQ(parsed.parts[1].max_words, 1);
  EXPECT_EQ(parsed.parts[2].text, " ");
  EXPECT_EQ(parsed.parts[3].min_words, 2);
  EXPECT_EQ(parsed.parts[3].max_words, 4);
  EXPECT_EQ(parsed.parts[4].text, " on the grass");
}

TEST(CaptionTemplate, WhatIsNotABlankIsText) {
  const CaptionTemplate parsed = parse_caption_template("[mask] [MASK [MASK:] [MASK:x] [MASKED] [MASK:1-] [MASK]");
  ASSERT_EQ(parsed.parts.size(), 2u);
  EXPECT_EQ(parsed.parts[0].text, "[mask] [MASK [MASK:] [MASK:x] [MASKED] [MASK:1-] ");
}

TEST(CaptionTemplate, EveryChoiceOfLengthsShortestFirst) {
  const CaptionTemplate parsed = parse_caption_template("[MASK:1-2] and [MASK:3] or [MASK:1-2]");
  EXPECT_THAT(parsed.lengths(4), ElementsAre(Lengths{1, 3, 1}, Lengths{1, 3, 2}, Lengths{2, 3, 1}, Lengths{2, 3, 2}));
  test::expect_error(ErrorCode::usage, "more than 3", [&] { parsed.lengths(3); });
}

TEST(CaptionTemplate, FillsTheBlanksInTurn) {
  const CaptionTemplate parsed = parse_caption_template("Two [MASK:1-2], [MASK]!");
  EXPECT_EQ(parsed.filled({2, 1}, {"big", "dogs", "running"}), "Two big dogs, running!");
  EXPECT_EQ(parsed.filled({1, 1}, {"dogs", "running"}), "Two dogs, running!");
}

TEST(CaptionTemplate, RefusesImpossibleBlanks) {
  for (const char* sentence : {"[MASK:0]", "a [MASK:4-2]", "[UNK:65]", "[MASK:1-1000]"})
    test::expect_error(ErrorCode::usage, "a blank has between 1 and 64 words",
                       [&] { parse_caption_template(sentence); });
  for (const char* sentence : {"", "a dog", "[CLS]"})
    test::expect_error(ErrorCode::usage, "no blank", [&] { parse_caption_template(sentence); });
}

}  // namespace
}  // namespace capdiff
