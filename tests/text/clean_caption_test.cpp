#include "capdiff/text/clean_caption.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/text/wordpiece.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

TEST(CleanCaption, FollowsTheReleasedRules) {
  EXPECT_EQ(clean_caption("A \"Man\" (riding) a HORSE!"), "a man riding a horse");
  EXPECT_EQ(clean_caption("it's 5 o'clock, t-shirt & more?"), "it's 5 o'clock, t-shirt & more?");
  EXPECT_EQ(clean_caption("  two ;: dogs .\n"), "two dogs .");
  EXPECT_EQ(clean_caption("a\tb"), "a\tb");
  EXPECT_EQ(clean_caption("a \t b"), "a b");
  EXPECT_EQ(clean_caption("ends.\n\n"), "ends.");
  EXPECT_EQ(clean_caption(" \n"), "");
  EXPECT_EQ(clean_caption(""), "");
}

TEST(CleanCaption, KeepsTheFirstWords) {
  EXPECT_EQ(clean_caption("a b c d", {.max_words = 2}), "a b");
  EXPECT_EQ(clean_caption("a b", {.max_words = 2}), "a b");
  EXPECT_EQ(clean_caption("a b", {.max_words = 0}), "");
}

TEST(CleanCaption, BlipAlsoRemovesFullStops) {
  EXPECT_EQ(clean_caption("Dot . dot.", {.keep_full_stop = false}), "dot dot");
}

TEST(CleanCaption, BrokenBytesAreReplaced) {
  EXPECT_EQ(clean_caption("a\xFF"), "a\uFFFD");
}

TEST(CleanCaption, CleaningTwiceChangesNothing) {
  for (const char* caption : {"A (B) ~ c\n", " #1; 2 * 3 ", "\u00A0 x \u2003\u2003 y", "ΟΔΟΣ\n \n"}) {
    const auto once = clean_caption(caption);
    EXPECT_EQ(clean_caption(once), once);
  }
}

TEST(CleanCaption, EqualsTheReference) {
  CAPDIFF_SHARED_OR_SKIP(golden, "goldens/wordpiece/cleaning.json");
  CAPDIFF_SHARED_OR_SKIP(vocabulary, "data/text/bert-base-uncased-vocab.txt");
  const WordPieceTokenizer tokenizer(Vocabulary::load(vocabulary));
  std::ifstream file(golden);
  const auto cases = nlohmann::json::parse(file).at("cases");
  ASSERT_FALSE(cases.empty());
  for (const auto& expected : cases) {
    const auto text = expected.at("text").get<std::string>();
    const auto ladic = clean_caption(text);
    EXPECT_EQ(ladic, expected.at("ladic30").get<std::string>());
    EXPECT_EQ(clean_caption(text, {.max_words = 50}), expected.at("ladic50").get<std::string>());
    const auto blip = clean_caption(text, {.keep_full_stop = false});
    EXPECT_EQ(blip, expected.at("blip30").get<std::string>());
    const auto encoded = tokenizer.encode(ladic, 24);
    EXPECT_EQ(encoded.ids, expected.at("ids24").get<std::vector<std::int64_t>>());
    EXPECT_EQ(encoded.attention_mask, expected.at("mask24").get<std::vector<std::uint8_t>>());
  }
}

}  // namespace
}  // namespace capdiff
