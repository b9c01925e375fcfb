#include "capdiff/text/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "capdiff/base/error.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/text/basic_tokenizer.h"
#include "capdiff/text/clean_caption.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

using ::testing::ElementsAre;
using Ids = std::vector<std::int64_t>;

WordPieceTokenizer tiny_tokenizer() {
  return WordPieceTokenizer(Vocabulary::parse(
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\na\nsword\n##fish\n##f\n##is\nfish\n##é\ncaf\n##e\n,\n猫\n", "tiny"));
}

TEST(SplitWords, CutsAtSpacesPunctuationAndIdeographs) {
  EXPECT_THAT(split_words("A man's T-shirt."), ElementsAre("a", "man", "'", "s", "t", "-", "shirt", "."));
  EXPECT_THAT(split_words("two\u00A0猫s\u2028on"), ElementsAre("two", "猫", "s", "on"));
  EXPECT_THAT(split_words("£5 5°"), ElementsAre("£5", "5°"));
  EXPECT_THAT(split_words("ΣΑΣ"), ElementsAre("σασ"));
}

TEST(SplitWords, DropsAccentsAndControls) {
  EXPECT_THAT(split_words("Café Ångström İ"), ElementsAre("cafe", "angstrom", "i"));
  EXPECT_THAT(split_words("zero\u200Bwidth\u00AD soft"), ElementsAre("zerowidth", "soft"));
  EXPECT_THAT(split_words(std::string("n\0l\x7F", 4) + "\xFF"), ElementsAre("nl"));
  EXPECT_THAT(split_words("\u0301 \u0300"), ElementsAre());
}

TEST(SplitWords, SplitsPunctuationThatOnlyDecompositionShows) {
  EXPECT_THAT(split_words("a\u037Eb"),
              ElementsAre("a", ";", "b"));  // the Greek question mark decomposes to a semicolon
}

TEST(WordPiece, TakesTheLongestPieceFirst) {
  const auto tokenizer = tiny_tokenizer();
  EXPECT_THAT(tokenizer.tokenize("A swordfish, a fish."), ElementsAre("a", "sword", "##fish", ",", "a", "fish", "."));
  EXPECT_THAT(tokenizer.tokenize("swordf"), ElementsAre("sword", "##f"));
  EXPECT_THAT(tokenizer.tokenize("café"), ElementsAre("caf", "##e"));
}

TEST(WordPiece, AWordThatCannotBeCutIsUnknownAsAWhole) {
  EXPECT_THAT(tiny_tokenizer().tokenize("swordfishx a"), ElementsAre("[UNK]", "a"));
}

TEST(WordPiece, WordsOfMoreThanAHundredCodePointsAreUnknown) {
  const auto tokenizer = tiny_tokenizer();
  std::string word = "a";
  for (int i = 0; i < 99; ++i) word += "f";
  EXPECT_EQ(tokenizer.tokenize(word).size(), 100u);
  EXPECT_THAT(tokenizer.tokenize(word + "f"), ElementsAre("[UNK]"));
}

TEST(WordPiece, SpecialTokensAreRecognisedAnywhereInCapitals) {
  const auto tokenizer = tiny_tokenizer();
  EXPECT_THAT(tokenizer.tokenize("a[MASK]fish [[UNK]a"), ElementsAre("a", "[MASK]", "fish", "[UNK]", "[UNK]", "a"));
  EXPECT_THAT(tokenizer.tokenize("[mask]"), ElementsAre("[UNK]", "[UNK]", "[UNK]"));
}

TEST(WordPiece, SpecialTokensCanBeTakenLiterally) {
  const auto tokenizer = tiny_tokenizer();
  EXPECT_THAT(tokenizer.tokenize_literally("a [PAD] fish"), ElementsAre("a", "[UNK]", "[UNK]", "[UNK]", "fish"));
}

TEST(WordPiece, EncodesToExactlyTheLength) {
  const auto tokenizer = tiny_tokenizer();
  const auto padded = tokenizer.encode("a fish", 6);
  EXPECT_EQ(padded.ids, (Ids{2, 6, 11, 3, 0, 0}));
  EXPECT_THAT(padded.attention_mask, ElementsAre(1, 1, 1, 1, 0, 0));
  const auto cut = tokenizer.encode("a a a fish", 4);
  EXPECT_EQ(cut.ids, (Ids{2, 6, 6, 3}));
  EXPECT_THAT(cut.attention_mask, ElementsAre(1, 1, 1, 1));
  EXPECT_EQ(tokenizer.encode("a", 2).ids, (Ids{2, 3}));
  EXPECT_EQ(tokenizer.encode("", 3).ids, (Ids{2, 3, 0}));
  EXPECT_THROW(tokenizer.encode("a", 1), Error);
  EXPECT_THROW(tokenizer.encode("a", -5), Error);
}

TEST(WordPiece, RandomBytesNeverBreakAnything) {
  const auto tokenizer = tiny_tokenizer();
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes(random() % 60, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const auto encoded = tokenizer.encode(bytes, 16);
    ASSERT_EQ(encoded.ids.size(), 16u);
    for (const auto id : encoded.ids) {
      ASSERT_GE(id, 0);
      ASSERT_LT(id, tokenizer.vocabulary().size());
    }
  }
}

TEST(WordPiece, EqualsTheReferenceTokenizer) {
  CAPDIFF_SHARED_OR_SKIP(golden, "goldens/wordpiece/wordpiece.json");
  CAPDIFF_SHARED_OR_SKIP(vocabulary, "data/text/bert-base-uncased-vocab.txt");
  const WordPieceTokenizer tokenizer(Vocabulary::load(vocabulary));
  const auto cases = read_json(golden).at("tokenize");
  ASSERT_FALSE(cases.empty());
  for (const auto& expected : cases) {
    const auto text = expected.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.tokenize(text), expected.at("tokens").get<std::vector<std::string>>()) << expected.dump();
    EXPECT_EQ(tokenizer.tokenize_to_ids(text), expected.at("ids").get<Ids>()) << expected.dump();
    const auto encoded = tokenizer.encode(text, 24);
    EXPECT_EQ(encoded.ids, expected.at("ids24").get<Ids>()) << expected.dump();
    EXPECT_EQ(encoded.attention_mask, expected.at("mask24").get<std::vector<std::uint8_t>>()) << expected.dump();
  }
}

TEST(WordPiece, EqualsTheReferenceOnASmallVocabulary) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/ladic_tiny");
  const WordPieceTokenizer tokenizer(Vocabulary::load(folder / "vocab.txt"));
  const auto golden = read_json(folder / "golden.json");
  const auto length = read_json(folder / "reference.json").at("text").at("length").get<std::int64_t>();
  const auto cases = golden.at("tokenizer");
  ASSERT_FALSE(cases.empty());
  for (const auto& expected : cases) {
    const auto clean = clean_caption(expected.at("raw").get<std::string>());
    EXPECT_EQ(clean, expected.at("clean").get<std::string>());
    EXPECT_EQ(tokenizer.tokenize(clean), expected.at("pieces").get<std::vector<std::string>>());
    EXPECT_EQ(tokenizer.encode(clean, length).ids, expected.at("ids").get<Ids>());
  }
}

}  // namespace
}  // namespace capdiff
