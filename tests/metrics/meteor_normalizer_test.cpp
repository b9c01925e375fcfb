#include "capdiff/metrics/meteor_normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const MeteorNormalizer& normalizer() {
  static const MeteorNormalizer normalizer(
      parse_nonbreaking_prefixes("#Titles, a comment\n\nDr\nProf\r\n  St  \nNo #NUMERIC_ONLY#\nPp #something else\n"));
  return normalizer;
}

struct NormalizerCase {
  const char* text;
  const char* kept;
  const char* removed;
};

class MeteorNormalizerCases : public ::testing::TestWithParam<NormalizerCase> {};

TEST_P(MeteorNormalizerCases, Normalise) {
  EXPECT_EQ(normalizer().normalize(GetParam().text, MeteorPunctuation::keep), GetParam().kept);
  EXPECT_EQ(normalizer().normalize(GetParam().text, MeteorPunctuation::remove), GetParam().removed);
}

INSTANTIATE_TEST_SUITE_P(Spaces, MeteorNormalizerCases,
                         ::testing::ValuesIn(std::vector<NormalizerCase>{
                             {"", "", ""},
                             {" \t ", "", ""},
                             {"An otter", "An otter", "An otter"},
                             {"  an \t otter\n", "an otter", "an otter"},
                             {"an\u00A0otter\u2003swims\u3000", "an otter swims", "an otter swims"},
                             {"an otter \x01", "an otter", "an otter"},
                             {"an\votter", "an\votter", "an otter"}}));

INSTANTIATE_TEST_SUITE_P(Symbols, MeteorNormalizerCases,
                         ::testing::ValuesIn(std::vector<NormalizerCase>{
                             {"otters!?", "otters ! ?", "otters"},
                             {"7% of #2 (or so)", "7 % of # 2 ( or so )", "7 of 2 or so"},
                             {"Škoda, Žižkov, Łódź, Енот", "Škoda , Žižkov , Łódź , Енот", "Škoda Žižkov Łódź Енот"},
                             {"水獭 🦦", "水 獭 🦦", ""},
                             {"\xFFotter", "\uFFFD otter", "otter"}}));

INSTANTIATE_TEST_SUITE_P(Commas, MeteorNormalizerCases,
                         ::testing::ValuesIn(std::vector<NormalizerCase>{
                             {"2,500 otters, 3 ponds", "2,500 otters , 3 ponds", "2 500 otters 3 ponds"},
                             {"b,2 2,b b,b", "b , 2 2 , b b , b", "b 2 2 b b b"},
                             // The second comma has no character left before it.
                             {"b,,b", "b , ,b", "b b"}}));

INSTANTIATE_TEST_SUITE_P(Dots, MeteorNormalizerCases,
                         ::testing::ValuesIn(std::vector<NormalizerCase>{
                             {"An otter.", "An otter .", "An otter"},
                             {"One. Two", "One . Two", "One Two"},
                             {"Dr. Otter", "Dr. Otter", "Dr Otter"},
                             {"Prof. X St. Y", "Prof. X St. Y", "Prof X St Y"},
                             // Before a word in lower case no sentence ends.
                             {"Ltd. otters", "Ltd. otters", "Ltd otters"},
                             {"No. 5", "No. 5", "No 5"},
                             {"No. Five", "No . Five", "No Five"},
                             {"Pp. Five", "Pp. Five", "Pp Five"},
                             {"the U.K. and E.U.", "the UK and EU", "the UK and EU"},
                             {"3.5 m", "3.5 m", "3 5 m"},
                             {"3.5.", "3.5 .", "3 5"},
                             {".", ".", ""},
                             {"a. . b", "a . . b", "a b"},
                             {"wait..what....", "wait .. what ....", "wait what"},
                             {"...", "...", ""}}));

INSTANTIATE_TEST_SUITE_P(QuotesAndDashes, MeteorNormalizerCases,
                         ::testing::ValuesIn(std::vector<NormalizerCase>{
                             {"isn't", "isn 't", "isn t"},
                             {"otters' pond", "otters ' pond", "otters pond"},
                             {"'quoted'", "' quoted '", "quoted"},
                             {"the 60's", "the 60 's", "the 60 s"},
                             {"the 60'x", "the 60'x", "the 60 x"},
                             {"o'b'c", "o 'b'c", "o b c"},
                             {"\u2018a\u2019 `b`", "' a ' ' b '", "a b"},
                             {"''a'' \u201Cb\u201D", "\" a \" \" b \"", "a b"},
                             {"otter-like", "otter like", "otter like"},
                             {"a-b-c", "a b-c", "a b c"},
                             {"one -- two", "one - two", "one two"},
                             {"one \u2013 two", "one - two", "one two"},
                             {"a----b", "a--b", "a b"},
                             {"U.K.-based", "UK based", "UK based"}}));

TEST(MeteorNormalizer, WordsAreInLowerCase) {
  EXPECT_THAT(normalizer().words("The OTTER'S pond. ΟΔΟΣ", MeteorPunctuation::keep),
              ElementsAre("the", "otter", "'s", "pond", ".", "ο", "δ", "ο", "σ"));
  EXPECT_THAT(normalizer().words("\u201C...\u201D", MeteorPunctuation::remove), IsEmpty());
}

TEST(MeteorNormalizer, AnyBytesBecomeWordsOfText) {
  std::mt19937 random(1);
  constexpr std::string_view kCharacters = "ab. ',-\"1\xE2\x80\x99\xFF\t`";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (unsigned i = random() % 24; i > 0; --i) text.push_back(kCharacters[random() % kCharacters.size()]);
    for (const auto punctuation : {MeteorPunctuation::keep, MeteorPunctuation::remove}) {
      std::string joined;
      for (const std::string& word : normalizer().words(text, punctuation)) {
        EXPECT_FALSE(word.empty());
        EXPECT_TRUE(is_utf8(word));
        joined += joined.empty() ? word : " " + word;
      }
      EXPECT_EQ(joined, normalizer().normalize(text, punctuation)) << text;
    }
  }
}

TEST(MeteorNormalizer, TextsMayBeLong) {
  for (const std::string_view pattern : {"..", ",", "'", "-", "a.", "a-", "\xFF", "\u2019"}) {
    std::string text;
    while (text.size() < std::size_t{1} << 19) text += pattern;
    EXPECT_FALSE(normalizer().words(text, MeteorPunctuation::keep).empty()) << pattern;
  }
}

}  // namespace
}  // namespace capdiff
