#include "capdiff/metrics/ptb_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "tests/metrics/metric_goldens.h"
#include "tests/support/expect_error.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

/// Tokens with a space between them; a no-break space inside one is shown as `_`.
std::string cut(std::string_view text) {
  std::string joined;
  for (std::string token : ptb_tokens(text)) {
    for (std::size_t at; (at = token.find("\u00A0")) != std::string::npos;) token.replace(at, 2, "_");
    joined += joined.empty() ? token : " " + token;
  }
  return joined;
}

std::string kept(const std::vector<std::string>& captions, std::size_t which) {
  std::string joined;
  const auto words = PtbTokenizer().tokenize(captions);
  for (const auto& word : words.at(which)) joined += joined.empty() ? word : " " + word;
  return joined;
}

struct TokenizerCase {
  const char* text;
  const char* tokens;
};

class PtbCases : public ::testing::TestWithParam<TokenizerCase> {};

TEST_P(PtbCases, Cut) {
  EXPECT_EQ(cut(GetParam().text), GetParam().tokens);
}

INSTANTIATE_TEST_SUITE_P(Words, PtbCases,
                         ::testing::Values(TokenizerCase{"Seven OTTERS swim.", "seven otters swim ."},
                                           TokenizerCase{"pond.otter now!then why?so", "pond.otter now!then why?so"},
                                           TokenizerCase{"pond,otter;a:b", "pond , otter ; a : b"},
                                           TokenizerCase{"9th pond.5", "9th pond .5"},
                                           TokenizerCase{"co\u00ADral \u00AD", "coral -"},
                                           TokenizerCase{"ÜBER \u0130\u00C9", "über i\u0307é"},
                                           TokenizerCase{"ΔΡΟΜΟΣ", "δρομος"},
                                           TokenizerCase{"&Eacute;t&uuml; r&eacute;s", "&eacute;t&uuml; r&eacute;s"},
                                           TokenizerCase{"otter.; pond.,", "otter. ; pond. ,"}));

INSTANTIATE_TEST_SUITE_P(Separators, PtbCases,
                         ::testing::Values(TokenizerCase{"a\tb\u00A0c\u3000d\u200Be", "a b c d e"},
                                           TokenizerCase{"a&nbsp;b", "a b"},
                                           TokenizerCase{"a🦦b \u200D \uE001 \u2167 \u300C \u20BA", "a b"},
                                           TokenizerCase{"\u2665\u2600 \u00B0\u2022", "♥ ☀ ° •"}, TokenizerCase{"", ""},
                                           TokenizerCase{"\xFF\xC3 a\x80", "a"}));

INSTANTIATE_TEST_SUITE_P(
    Hyphens, PtbCases,
    ::testing::Values(TokenizerCase{"mud-and-reed hut", "mud-and-reed hut"},
                      TokenizerCase{"two_tone x\u2010y", "two_tone x\u2010y"},
                      TokenizerCase{"-mud reed-", "- mud reed -"},
                      TokenizerCase{"pro- anti- pro-mud pre-", "pro- anti- pro-mud pre -"},
                      TokenizerCase{"20,500-seat mud,reed-and-clay", "20,500-seat mud,reed-and-clay"},
                      TokenizerCase{"u.k.-built non-u.s. pond", "u.k.-built non-u.s. pond"},
                      TokenizerCase{"will-o'wisp", "will-o'wisp"},
                      TokenizerCase{"a -- b---c ---- \u2014\u2013 &mdash;", "a -- b -- c -- -- -- --"},
                      TokenizerCase{"------", "------"}));

INSTANTIATE_TEST_SUITE_P(Dots, PtbCases,
                         ::testing::Values(TokenizerCase{"mud... . . . reed\u2026", "mud ... ... reed ..."},
                                           TokenizerCase{"mud.. reed", "mud . . reed"},
                                           TokenizerCase{"........", "... ..."},
                                           TokenizerCase{"why?! no!! ok?", "why ?! no !! ok ?"}));

INSTANTIATE_TEST_SUITE_P(
    Contractions, PtbCases,
    ::testing::Values(TokenizerCase{"The otter's pups' den", "the otter 's pups ' den"},
                      TokenizerCase{"I'm; you've. we’ll", "i 'm ; you 've . we 'll"},
                      TokenizerCase{"can't won't hasn’t mustn`t", "ca n't wo n't has n't must n`t"},
                      TokenizerCase{"cannot gonna Gotta wanna lemme gimme",
                                    "can not gon na got ta wan na lem me gim me"},
                      TokenizerCase{"'Tis 'twas 'til 'em 'n 'cause", "'t is 't was 'til 'em 'n 'cause"},
                      TokenizerCase{"y'all y'hear", "y' all y' hear"}, TokenizerCase{"reed'n'mud", "reed 'n' mud"},
                      TokenizerCase{"O'Hara d'Orsay l'eau n'est j'aime l'x", "o'hara d'orsay l'eau n'est j' aime l' x"},
                      TokenizerCase{"ma'am Lu'Ann", "ma'am lu'ann"},
                      TokenizerCase{"c'mon s'mores li'l ol' otter", "c'mon s'mores li'l ol' otter"},
                      TokenizerCase{"the '60s, a '71 pond", "the '60s , a '71 pond"},
                      TokenizerCase{"swimmin' on", "swimmin ' on"}, TokenizerCase{"its 's 've x", "its 's 've x"},
                      TokenizerCase{"reed'sling", "reed ` sling"}, TokenizerCase{"reed’sling", "reed 's ling"},
                      TokenizerCase{"cann't x", "cann ' t x"}, TokenizerCase{"mud.hasn't", "mud.hasn ' t"}));

INSTANTIATE_TEST_SUITE_P(StopsBeforeCommas, PtbCases,
                         ::testing::Values(TokenizerCase{"in 1999., x", "in 1999. , x"},
                                           TokenizerCase{"two-tone.; x", "two-tone. ; x"},
                                           TokenizerCase{"X&Y.: z", "x&y. : z"}));

INSTANTIATE_TEST_SUITE_P(BeyondLetters, PtbCases,
                         ::testing::Values(TokenizerCase{"\u304B\u3099 x", "\u304B x"},
                                           TokenizerCase{"\u0939\u093F", "\u0939\u093F"},
                                           TokenizerCase{"\u00E9-a e\u0301-a", "\u00E9-a e\u0301 - a"},
                                           TokenizerCase{"\u2010 \u2012 \u203C \u3003 x", "x"},
                                           TokenizerCase{"\u2020\u00A7", "\u2020 \u00A7"},
                                           TokenizerCase{"a\u058Ab", "a\u058Ab"}));

INSTANTIATE_TEST_SUITE_P(Quotes, PtbCases,
                         ::testing::Values(TokenizerCase{"\"Mud\" \" reed \"", "`` mud '' '' reed ''"},
                                           TokenizerCase{"a 9\" pipe \"$3\"", "a 9 '' pipe `` $ 3 ''"},
                                           TokenizerCase{"'mud' '8' `x`", "` mud ' ' 8 ' ` x `"},
                                           TokenizerCase{"“mud” ‘reed’ «x» ‹y›", "`` mud '' ` reed ' `` x '' ` y '"},
                                           TokenizerCase{"„mud‟", "„ mud ‟"},
                                           TokenizerCase{"&quot;mud&quot;", "`` mud ''"},
                                           TokenizerCase{"''''", "'' ''"}));

INSTANTIATE_TEST_SUITE_P(
    Brackets, PtbCases,
    ::testing::Values(TokenizerCase{"(mud) [reed] {x}", "-lrb- mud -rrb- -lsb- reed -rsb- -lcb- x -rcb-"},
                      TokenizerCase{"a << b >> c < d", "a << b >> c < d"},
                      TokenizerCase{"<i>mud</i> <br /> <a b='c d' e>", "<i> mud </i> <br_/> <a_b='c_d'_e>"},
                      TokenizerCase{"<!-- mud -->x <mud", "<!--_mud_--> x < mud"},
                      TokenizerCase{"<a b=c>", "< a b = c >"}));

INSTANTIATE_TEST_SUITE_P(Numbers, PtbCases,
                         ::testing::Values(TokenizerCase{"2,500 4.75 11:45 .5 -8 +6", "2,500 4.75 11:45 .5 -8 +6"},
                                           TokenizerCase{"7x9 30th 11:45pm", "7x9 30th 11:45 pm"},
                                           TokenizerCase{"40% 6$ A$7 a$7", "40 % 6 $ a$ 7 a $ 7"},
                                           TokenizerCase{"£4 €5 6¢ ¥7", "# 4 $ 5 6 cents ¥ 7"},
                                           TokenizerCase{"#9 #pond #x9 @otter_1", "# 9 #pond #x 9 @otter_1"},
                                           TokenizerCase{"2/3 5 2/3 ¼ ⅔ 1½ ⅝", "2/3 5_2/3 1/4 2/3 1 1/2 ⅝"},
                                           TokenizerCase{"3-4/5", "3-4/5"},
                                           TokenizerCase{"7/14/1999 1999-07-14", "7/14/1999 1999-07-14"},
                                           TokenizerCase{"(416) 555-0199 416 555 0199 +44 20 555 01999",
                                                         "-lrb-416-rrb-_555-0199 416_555_0199 +44_20_555_01999"},
                                           TokenizerCase{"416.555.0199", "416.555.0199"},
                                           TokenizerCase{"m³ CO₂", "m ³ co ₂"},
                                           TokenizerCase{"6'2\" 3'x5'", "6 ' 2 '' 3 ` x5 '"}));

INSTANTIATE_TEST_SUITE_P(Joints, PtbCases,
                         ::testing::Values(TokenizerCase{"mud/reed a/b/c/d w/ a \\ b", "mud/reed a/b/c / d w / a \\ b"},
                                           TokenizerCase{"mud-and-reed/clay a\\/b", "mud-and-reed/clay a\\/b"},
                                           TokenizerCase{"X&Y Q+A x&y a &amp; b", "x&y q+a x & y a & b"},
                                           TokenizerCase{"C++ C# f#", "c++ c# f#"},
                                           TokenizerCase{"a \\* b \\*\\* S&Ls", "a \\* b \\*\\* s&ls"},
                                           TokenizerCase{"** @@ __ ## ~~", "** @@ __ ## ~ ~"},
                                           TokenizerCase{"&#174; &ur; &reg;", "&#174; &ur; & reg ;"}));

INSTANTIATE_TEST_SUITE_P(
    Abbreviations, PtbCases,
    ::testing::Values(TokenizerCase{"Oct. 9 Fla. pond Inc. x", "oct. 9 fla. pond inc. x"},
                      TokenizerCase{"reeds, etc.", "reeds , etc. ."},
                      TokenizerCase{"etc. Otters  etc.  x", "etc. . otters etc. . x"},
                      TokenizerCase{"etc. <b>", "etc. . <b>"}, TokenizerCase{"etc., x", "etc. , x"},
                      TokenizerCase{"(mud, etc.)", "-lrb- mud , etc. . -rrb-"},
                      TokenizerCase{"(mud, etc.).", "-lrb- mud , etc. -rrb- ."}, TokenizerCase{"Ph. D", "ph. d"},
                      TokenizerCase{"etc. \u00C9t\u00E9", "etc. . \u00E9t\u00E9"},
                      TokenizerCase{"Co. Ltd. x", "co. ltd. x"}, TokenizerCase{"Ph.D. x", "ph.d. x"},
                      TokenizerCase{"Wash. x wash. x", "wash. x wash . x"},
                      TokenizerCase{"Dr. Otter vs. Gen. Mud on Elm St.", "dr. otter vs. gen. mud on elm st."},
                      TokenizerCase{"route b. x.y.z. Mud", "route b. x.y.z. mud"},
                      TokenizerCase{"b. The x.y. The end", "b . the x.y. . the end"},
                      TokenizerCase{"b. the B. Thermos", "b. the b. thermos"},
                      TokenizerCase{"no. 8 no.8 no. mud figs. 2", "no. 8 no. 8 no . mud figs. 2"},
                      TokenizerCase{"kg. approx. x", "kg . approx . x"}));

INSTANTIATE_TEST_SUITE_P(
    Web, PtbCases,
    ::testing::Values(TokenizerCase{"see https://pond.eu/a?b=c, ok", "see https://pond.eu/a?b=c , ok"},
                      TokenizerCase{"www.pond.eu! pond.org/xy.", "www.pond.eu ! pond.org/xy ."},
                      TokenizerCase{"an.otter@pond.eu. <a@b.c>", "an.otter@pond.eu . <a@b.c>"},
                      TokenizerCase{"7.jpg 7.jpgs", "7.jpg 7 . jpgs"}, TokenizerCase{"a_7.jpg.", "a_7 . jpg ."}));

INSTANTIATE_TEST_SUITE_P(Emoticons, PtbCases,
                         ::testing::Values(TokenizerCase{"mud :) ;-) =P x", "mud :-rrb- ;--rrb- =p x"},
                                           TokenizerCase{"mud:)", "mud : -rrb-"},
                                           TokenizerCase{":Do :/ <3", ": do : / < 3"},
                                           TokenizerCase{"^_^ (-_-)", "^_^ -lrb--_--rrb-"}));

TEST(PtbTokenizer, OnlyTheListOfPunctuationGoes) {
  EXPECT_EQ(kept({"\"Mud!\" (wet) -- why?! no: a - b; #1 ... ok."}, 0), "mud -lrb- wet -rrb- why ?! no a b # 1 ok");
  EXPECT_TRUE(is_ptb_punctuation("-LRB-"));
  EXPECT_FALSE(is_ptb_punctuation("-lrb-"));
}

TEST(PtbTokenizer, TheNextCaptionDecidesTheEndOfThisOne) {
  EXPECT_EQ(kept({"route b.", "The"}, 0), "route b.");
  EXPECT_EQ(kept({"route b.", "The otter swims"}, 0), "route b");
  EXPECT_EQ(kept({"route b.", "the otter swims"}, 0), "route b.");
  EXPECT_EQ(kept({"pond no.", "6 otters"}, 0), "pond no.");
  EXPECT_EQ(kept({"so we'll", ""}, 0), "so we 'll");
  EXPECT_EQ(kept({"so we'll"}, 0), "so we ll");
}

TEST(PtbTokenizer, WordsStayWithTheirCaption) {
  const std::vector<std::string> captions{"", "mud\nreed", " . ", "a\rb\u2028c", ""};
  EXPECT_EQ(kept(captions, 0), "");
  EXPECT_EQ(kept(captions, 1), "mud reed");
  EXPECT_EQ(kept(captions, 2), "");
  EXPECT_EQ(kept(captions, 3), "a b c");
  EXPECT_EQ(kept(captions, 4), "");
  EXPECT_TRUE(PtbTokenizer().tokenize({}).empty());
}

TEST(PtbTokenizer, NamesOfTokenisers) {
  for (const char* name : {"ptb", "lower-nopunct", "none"}) EXPECT_EQ(make_caption_tokenizer(name)->signature(), name);
  test::expect_error(ErrorCode::usage, "moses", [] { make_caption_tokenizer("moses"); });
}

TEST(PtbTokenizer, RandomBytesNeverGiveEmptyWords) {
  const std::string pieces[] = {"a", "1", "-", "'", "\"", "<",        "&",    ".",
                                " ", "@", "/", ":", "(",  "\xC2\xAD", "www.", "etc. "};
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (std::size_t n = random() % 40; n > 0; --n) {
      text += random() % 3 ? pieces[random() % std::size(pieces)] : std::string(1, static_cast<char>(random()));
    }
    for (const auto& token : ptb_tokens(text)) EXPECT_FALSE(token.empty()) << text;
  }
}

TEST(PtbTokenizer, TakesTimeLinearInTheLength) {
  // Each would be looked through to its end from every position, were what rules learn about it forgotten.
  for (const std::string piece :
       {"a,", "www.;", "@a.", "<!a", "a.1.", "<a b=\"", "5.a", "b. ", "'", "-", "a-", "aa'"}) {
    std::string text;
    while (text.size() < 500'000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(ptb_tokens(text).empty());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << piece;
  }
}

TEST(PtbTokenizer, GoldenStrings) {
  CAPDIFF_SHARED_OR_SKIP(path, "goldens/ptb/ptb.json");
  for (const auto& expected : test::read_json(path)) {
    std::string text = expected.at("text");
    std::replace(text.begin(), text.end(), '\n', ' ');
    const Tokens tokens = ptb_tokens(text);
    EXPECT_EQ(tokens, expected.at("tokens").get<Tokens>()) << expected.at("text");
    EXPECT_EQ(without_ptb_punctuation(tokens), expected.at("kept").get<Tokens>()) << expected.at("text");
    if (!expected.contains("when_followed_by")) continue;
    for (const auto& other : expected.at("when_followed_by")) {
      const std::vector<std::string> captions{text, other.at("next")};
      EXPECT_EQ(PtbTokenizer().tokenize(captions).at(0), other.at("kept").get<Tokens>()) << other;
    }
  }
}

TEST(PtbTokenizer, GoldenStreams) {
  CAPDIFF_SHARED_OR_SKIP(path, "goldens/ptb/ptb_stream.json");
  for (const auto& document : test::read_json(path)) {
    const auto lines = document.at("lines").get<std::vector<std::string>>();
    const auto tokens = ptb_tokens(lines);
    const auto words = PtbTokenizer().tokenize(lines);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      EXPECT_EQ(tokens[i], document.at("tokens")[i].get<Tokens>())
          << document.at("name") << ", line " << i << ": " << lines[i];
      EXPECT_EQ(words[i], without_ptb_punctuation(tokens[i]))
          << document.at("name") << ", line " << i << ": " << lines[i];
    }
  }
}

}  // namespace
}  // namespace capdiff
