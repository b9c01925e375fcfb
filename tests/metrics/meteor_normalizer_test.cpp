#include "capdiff/metrics/meteor_normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

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

struct Case {
  const char* text;
  const char* kept;
  const char* removed;
};

class MeteorNormalizerCases : public ::testing::TestWithParam<Case> {};

TEST_P(MeteorNormalizerCases, Normalise) {
  EXPECT_EQ(normalizer().normalize(GetParam().text, MeteorPunctuation::keep), GetParam().kept);
  EXPECT_EQ(normalizer().normalize(GetParam().text, MeteorPunctuation::remove), GetParam().removed);
}

INSTANTIATE_TEST_SUITE_P(Spaces, MeteorNormalizerCases,
                         ::testing::Values(Case{"", "", ""}, Case{" \t ", "", ""},
                                           Case{"An otter", "An otter", "An otter"},
                                           Case{"  an \t otter\n", "an otter", "an otter"},
                                           Case{"an\u00A0otter\u2003swims\u3000", "an otter swims", "an otter swims"},
                                           Case{"an otter \x01", "an otter", "an otter"},
                                           Case{"an\votter", "an\votter", "an otter"}));

INSTANTIATE_TEST_SUITE_P(
    Symbols, MeteorNormalizerCases,
    ::testing::Values(Case{"otters!?", "otters ! ?", "otters"},
                      Case{"7% of #2 (or so)", "7 % of # 2 ( or so )", "7 of 2 or so"},
                      Case{"Škoda, Žižkov, Łódź, Енот", "Škoda , Žižkov , Łódź , Енот", "Škoda Žižkov Łódź Енот"},
                      Case{"水獭 🦦", "水 獭 🦦", ""}, Case{"\xFFotter", "\uFFFD otter", "otter"}));

INSTANTIATE_TEST_SUITE_P(Commas, MeteorNormalizerCases,
                         ::testing::Values(Case{"2,500 otters, 3 ponds", "2,500 otters , 3 ponds",
                                                "2 500 otters 3 ponds"},
                                           Case{"b,2 2,b b,b", "b , 2 2 , b b , b", "b 2 2 b b b"},
                                           // The second comma has no character left before it.
                                           Case{"b,,b", "b , ,b", "b b"}));

INSTANTIATE_TEST_SUITE_P(
    Dots, MeteorNormalizerCases,
    ::testing::Values(Case{"An otter.", "An otter .", "An otter"}, Case{"One. Two", "One . Two", "One Two"},
                      Case{"Dr. Otter", "Dr. Otter", "Dr Otter"}, Case{"Prof. X St. Y", "Prof. X St. Y", "Prof X St Y"},
                      // Before a word in lower case no sentence ends.
                      Case{"Ltd. otters", "Ltd. otters", "Ltd otters"}, Case{"No. 5", "No. 5", "No 5"},
                      Case{"No. Five", "No . Five", "No Five"}, Case{"Pp. Five", "Pp. Five", "Pp Five"},
                      Case{"the U.K. and E.U.", "the UK and EU", "the UK and EU"}, Case{"3.5 m", "3.5 m", "3 5 m"},
                      Case{"3.5.", "3.5 .", "3 5"}, Case{".", ".", ""}, Case{"a. . b", "a . . b", "a b"},
                      Case{"wait..what....", "wait .. what ....", "wait what"}, Case{"...", "...", ""}));

INSTANTIATE_TEST_SUITE_P(
    QuotesAndDashes, MeteorNormalizerCases,
    ::testing::Values(Case{"isn't", "isn 't", "isn t"}, Case{"otters' pond", "otters ' pond", "otters pond"},
                      Case{"'quoted'", "' quoted '", "quoted"}, Case{"the 60's", "the 60 's", "the 60 s"},
                      Case{"the 60'x", "the 60'x", "the 60 x"}, Case{"o'b'c", "o 'b'c", "o b c"},
                      Case{"\u2018a\u2019 `b`", "' a ' ' b '", "a b"},
                      Case{"''a'' \u201Cb\u201D", "\" a \" \" b \"", "a b"},
                      Case{"otter-like", "otter like", "otter like"}, Case{"a-b-c", "a b-c", "a b c"},
                      Case{"one -- two", "one - two", "one two"}, Case{"one \u2013 two", "one - two", "one two"},
                      Case{"a----b", "a--b", "a b"}, Case{"U.K.-based", "UK based", "UK based"}));

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
