#include "capdiff/text/unicode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace capdiff {
namespace {

using ::testing::ElementsAre;

TEST(Unicode, BrokenBytesAreReplacedOneByOne) {
  EXPECT_EQ(decode_utf8("a\xFFz"), U"a\uFFFDz");
  EXPECT_EQ(decode_utf8("\xC0\x80"), U"\uFFFD\uFFFD");            // overlong NUL
  EXPECT_EQ(decode_utf8("\xED\xA0\x80"), U"\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(decode_utf8("x\xF0\x9F\x98"), U"x\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decode_utf8(std::string_view("a\0b", 3)), std::u32string_view(U"a\0b", 3));
}

TEST(Unicode, EveryCodePointSurvivesARoundTrip) {
  std::u32string all;
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 37) {
    if (c < 0xD800 || c > 0xDFFF) all.push_back(c);
  }
  EXPECT_EQ(decode_utf8(encode_utf8(all)), all);
}

TEST(Unicode, LowerCaseFollowsTheContextOfSigma) {
  EXPECT_EQ(lower_case(U"ABCÉ"), U"abcé");
  EXPECT_EQ(lower_case(U"ΟΔΟΣ"), U"οδος");
  EXPECT_EQ(lower_case(U"ΟΔΟΣ ΣΑΣ."), U"οδος σας.");
  EXPECT_EQ(lower_case(U"Α'Σ'"), U"α'ς'");
  EXPECT_EQ(lower_case(U"Σ"), U"σ");
  EXPECT_EQ(lower_case(U"İ"), U"i\u0307");
  std::u32string alone;
  append_lower_case(alone, U'Σ');
  EXPECT_EQ(alone, U"σ");
}

TEST(Unicode, DecompositionIsCanonicallyOrdered) {
  EXPECT_EQ(canonical_decomposition(U"é"), U"e\u0301");
  EXPECT_EQ(canonical_decomposition(U"q\u0307\u0323"), U"q\u0323\u0307");
  EXPECT_EQ(canonical_decomposition(U"각"), U"\u1100\u1161\u11A8");
  EXPECT_EQ(canonical_decomposition(U""), U"");
}

TEST(Unicode, DecompositionGrowsAsNeeded) {
  const std::u32string text(100, U'\u1F82');  // four code points each
  EXPECT_EQ(canonical_decomposition(text).size(), 400u);
}

TEST(Unicode, WhiteSpaceAndPunctuation) {
  using namespace std::literals;
  for (const char32_t c : U" \t\n\u000B\u001C\u0085\u00A0\u1680\u2003\u2028\u2029\u3000"sv) {
    EXPECT_TRUE(is_white_space(c)) << std::hex << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : U"a\0\u200B\u180E\uFEFF_"sv) EXPECT_FALSE(is_white_space(c));
  for (const char32_t c : U"!$+^`|~_\u00A1\u2019\u3002\u00BF"sv) {
    EXPECT_TRUE(is_punctuation(c)) << std::hex << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : U"aZ0 \0\u00A3\u00B0\u2764\u20AC"sv) EXPECT_FALSE(is_punctuation(c));
}

TEST(Unicode, SplitsAtAnyWhiteSpace) {
  EXPECT_THAT(split_white_space(" \u00A0one\u2028two \t three\u3000"), ElementsAre("one", "two", "three"));
  EXPECT_THAT(split_white_space(" \n"), ElementsAre());
}

TEST(Unicode, RandomBytesNeverBreakAnything) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const auto text = decode_utf8(bytes);
    EXPECT_EQ(decode_utf8(encode_utf8(text)), text);
    const auto decomposed = canonical_decomposition(text);
    EXPECT_EQ(canonical_decomposition(decomposed), decomposed);
    lower_case(text);
  }
}

TEST(Unicode, TellsLettersAndNumbers) {
  for (const char32_t c : U"aZ\u00e9\u00df\u02b0\u01c5\u65e5\u0e17")
    EXPECT_EQ(is_letter(c), c != 0) << static_cast<unsigned>(c);
  for (const char32_t c : U"0\u0663\u00bd\u00b2\u2163\u2460")
    EXPECT_EQ(is_number(c), c != 0) << static_cast<unsigned>(c);
  for (const char32_t c : U"_ \u0301'\u24b6\U0001f600")
    EXPECT_FALSE(is_letter(c) || is_number(c)) << static_cast<unsigned>(c);
}

TEST(Unicode, ReplacesIllFormedPartsAsPythonDoes) {
  EXPECT_EQ(well_formed_utf8("caf\u00e9 \U0001f600"), "caf\u00e9 \U0001f600");
  const std::string r = "\ufffd";
  EXPECT_EQ(well_formed_utf8("\xe2\x82"), r);
  EXPECT_EQ(well_formed_utf8("\xe2\x82z"), r + "z");
  EXPECT_EQ(well_formed_utf8("\xf0\x9f\x98z\xf0\x9f"), r + "z" + r);
  EXPECT_EQ(well_formed_utf8("\x80\xbf\xff"), r + r + r);
  EXPECT_EQ(well_formed_utf8("\xc0\xaf"), r + r);
  EXPECT_EQ(well_formed_utf8("\xed\xa0\x80"), r + r + r);
  EXPECT_EQ(well_formed_utf8("\xe0\x9f\x80"), r + r + r);
  EXPECT_EQ(well_formed_utf8("\xf4\x90\x80\x80"), r + r + r + r);
  EXPECT_EQ(well_formed_utf8("\xe2\xe2\x82\xac"), r + "\u20ac");
}

}  // namespace
}  // namespace capdiff
