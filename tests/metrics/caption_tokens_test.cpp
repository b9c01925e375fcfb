#include "capdiff/metrics/caption_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using ::testing::ElementsAre;

Tokens lower_no_punctuation(std::string caption) {
  return LowerNoPunctuationTokenizer().tokenize(std::vector{std::move(caption)}).at(0);
}

TEST(CaptionTokens, LowerNoPunctuation) {
  EXPECT_THAT(lower_no_punctuation("The man's T-shirt."), ElementsAre("the", "man", "s", "t", "shirt"));
  EXPECT_THAT(lower_no_punctuation("“Café”, 5°C — $3!"), ElementsAre("café", "5°c", "3"));
  EXPECT_THAT(lower_no_punctuation(" ... "), ElementsAre());
  EXPECT_THAT(lower_no_punctuation(""), ElementsAre());
}

TEST(CaptionTokens, WhiteSpaceOnly) {
  EXPECT_THAT(WhiteSpaceTokenizer().tokenize(std::vector<std::string>{" A  man. ", ""}),
              ElementsAre(ElementsAre("A", "man."), ElementsAre()));
}

TEST(CaptionTokens, RandomBytesNeverGiveEmptyWords) {
  std::mt19937 random(5);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes(random() % 50, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    for (const auto& word : lower_no_punctuation(bytes)) EXPECT_FALSE(word.empty());
  }
}

TEST(CaptionTokens, ReferencesReturnToTheirImages) {
  const std::vector<EvaluatedCaption> captions{{"1", "One", {"a", "b b"}}, {"2", "two", {}}, {"3", "", {"c"}}};
  const auto images = tokenize_images(captions, LowerNoPunctuationTokenizer());
  ASSERT_EQ(images.size(), 3u);
  EXPECT_EQ(images[0].id, "1");
  EXPECT_THAT(images[0].candidate, ElementsAre("one"));
  EXPECT_THAT(images[0].references, ElementsAre(ElementsAre("a"), ElementsAre("b", "b")));
  EXPECT_THAT(images[1].references, ElementsAre());
  EXPECT_THAT(images[2].candidate, ElementsAre());
  EXPECT_THAT(images[2].references, ElementsAre(ElementsAre("c")));
}

TEST(CaptionTokens, ATokeniserThatLosesCaptionsIsCaught) {
  struct Loses final : CaptionTokenizer {
    std::string signature() const override { return "loses"; }
    std::vector<Tokens> tokenize(std::span<const std::string>) const override { return {}; }
  };
  EXPECT_THROW(tokenize_images(std::vector<EvaluatedCaption>{{"1", "a", {"b"}}}, Loses()), Error);
}

}  // namespace
}  // namespace capdiff
