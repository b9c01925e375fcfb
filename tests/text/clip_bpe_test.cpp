#include "capdiff/text/clip_bpe.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using Texts = std::vector<std::string>;

/// Pairs: do, dog</w>, ca, cat</w>, si, ts</w>, th, the</w>, sits</w>, on</w>.
ClipBpe tiny() {
  return ClipBpe::parse(test::tiny_merges(), "tiny");
}

TEST(ClipBpe, NumbersBytesThenMergesThenSpecialTokens) {
  const ClipBpe bpe = tiny();
  EXPECT_EQ(bpe.size(), 524);
  EXPECT_EQ(bpe.token(0), "!");
  EXPECT_EQ(bpe.token(93), "~");
  EXPECT_EQ(bpe.token(94), "\u00a1");
  EXPECT_EQ(bpe.token(187), "\u00ff");
  EXPECT_EQ(bpe.token(188), "\u0100");  // byte 0
  EXPECT_EQ(bpe.token(255), "\u0143");  // byte 173
  EXPECT_EQ(bpe.token(256), "!</w>");
  EXPECT_EQ(bpe.token(512), "do");
  EXPECT_EQ(bpe.token(521), "on</w>");
  EXPECT_EQ(bpe.token(bpe.start_of_text()), "<|startoftext|>");
  EXPECT_EQ(bpe.token(bpe.end_of_text()), "<|endoftext|>");
  expect_error(ErrorCode::invalid_input, "524", [&] { bpe.token(524); });
}

TEST(ClipBpe, MergesPairsInTheOrderTheyWereLearned) {
  EXPECT_THAT(tiny().tokenize("The dog sits on the cat."),
              ElementsAre("the</w>", "dog</w>", "sits</w>", "on</w>", "the</w>", "cat</w>", ".</w>"));
  // "ts</w>" was learned before "si", but "si" before "sits</w>".
  EXPECT_THAT(tiny().tokenize("sitsi dogs"), ElementsAre("si", "t", "s", "i</w>", "do", "g", "s</w>"));
}

TEST(ClipBpe, MergesAllOccurrencesFromLeftToRight) {
  const ClipBpe bpe = ClipBpe::parse("a a\naa a\n", "tiny");
  EXPECT_THAT(bpe.tokenize("aaaaaaaa"), ElementsAre("aa", "aa", "aaa", "a</w>"));
}

TEST(ClipBpe, CutsTextLikeCLIP) {
  const ClipBpe bpe = tiny();
  const auto pieces = [&](std::string_view text) {
    Texts words;
    std::string word;
    for (const std::string& token : bpe.tokenize(text)) {
      word += token;
      if (!word.ends_with("</w>") && !word.ends_with("|>")) continue;
      words.push_back(std::move(word));
      word.clear();
    }
    return words;
  };
  EXPECT_THAT(pieces("it's 'TIS we've'll"),
              ElementsAre("it</w>", "'s</w>", "'t</w>", "is</w>", "we</w>", "'ve</w>", "'ll</w>"));
  EXPECT_THAT(pieces("x42!?<|startoftext|> <|EndOfText|>b <|other|>"),
              ElementsAre("x</w>", "4</w>", "2</w>", "!?<|</w>", "startoftext</w>", "|></w>", "<|endoftext|>", "b</w>",
                          "<|</w>", "other</w>", "|></w>"));
  EXPECT_THAT(pieces(" \t a\u00a0\u2003b\n\nc "), ElementsAre("a</w>", "b</w>", "c</w>"));
  EXPECT_THAT(pieces("a\u0301 \u00bd\u2163"),
              ElementsAre("a</w>", "\u00cc\u0123</w>", "\u00c2\u00bd</w>", "\u00e2\u0127\u00b3</w>"));
  EXPECT_THAT(pieces("'\u017f"), ElementsAre("'\u00c5\u00bf</w>"));  // a long s is an s
  EXPECT_THAT(pieces(""), ElementsAre());
  EXPECT_THAT(pieces(" \u0085\x1f "), ElementsAre());
}

TEST(ClipBpe, CleansBeforeItCuts) {
  const ClipBpe bpe = tiny();
  EXPECT_EQ(bpe.tokenize("&amp;amp; &lt;DOG&gt;"), (Texts{"&</w>", "<</w>", "dog</w>", "></w>"}));
  EXPECT_EQ(bpe.decode(bpe.tokenize_to_ids("\u03a3\u0391\u03a3 \u0130 \u00c9")), "\u03c3\u03b1\u03c2 i \u0307 \u00e9 ");
}

TEST(ClipBpe, EncodesToALength) {
  const ClipBpe bpe = tiny();
  const EncodedText padded = bpe.encode("the dog", 6);
  EXPECT_THAT(padded.ids, ElementsAre(522, 519, 513, 523, 0, 0));
  EXPECT_THAT(padded.attention_mask, ElementsAre(1, 1, 1, 1, 0, 0));
  EXPECT_FALSE(padded.truncated);
  EXPECT_FALSE(bpe.encode("the dog", 4).truncated);
  const EncodedText cut = bpe.encode("the dog", 3);
  EXPECT_THAT(cut.ids, ElementsAre(522, 519, 523));
  EXPECT_THAT(cut.attention_mask, ElementsAre(1, 1, 1));
  EXPECT_TRUE(cut.truncated);
  expect_error(ErrorCode::usage, "not 1", [&] { bpe.encode("the dog", 1); });
}

TEST(ClipBpe, DecodesWhatItCan) {
  const ClipBpe bpe = tiny();
  EXPECT_EQ(bpe.decode(bpe.tokenize_to_ids("The  dog's \U0001f415!")), "the dog 's \U0001f415! ");
  const std::vector<std::int64_t> ids = bpe.tokenize_to_ids("\u65e5x");
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(bpe.decode(std::span(ids).first(2)), "\ufffd");
  EXPECT_EQ(bpe.decode(std::span(ids).subspan(1)), "\ufffd\ufffdx ");
  EXPECT_EQ(bpe.decode(std::vector<std::int64_t>{522, 513, 523}), "<|startoftext|>dog <|endoftext|>");
  EXPECT_EQ(bpe.decode({}), "");
}

TEST(ClipBpe, RefusesMergesThatMakeNoSense) {
  const auto refused = [](const std::string& merges, const std::string& message) {
    const std::string what =
        expect_error(ErrorCode::invalid_model, message, [&] { ClipBpe::parse(merges, "bad.txt"); });
    EXPECT_THAT(what, ::testing::StartsWith("bad.txt: "));
  };
  refused("#version: 0.2\na b\nab  c\n", "line 3");
  refused("ab c\n", "line 1");
  refused("a\n", "line 1");
  refused("\n", "line 1");
  refused("a b\na b\n", "line 2 makes the token \"ab\", which is there already");
  refused("a b\nb c\na bc\nab c\n", "line 4");
  refused("a b</w>\nab</w> c\n", "behind the end of a word");
  refused("\xc3\xa9 a\n\xff b\n", "line 2");
  EXPECT_EQ(ClipBpe::parse("", "empty").size(), 514);
  EXPECT_EQ(ClipBpe::parse("a b\r\nab c\r\n", "dos").size(), 516);
}

TEST(ClipBpe, LoadsWhatItSaved) {
  const test::TemporaryFolder folder;
  tiny().save(folder.path() / "merges.txt");
  const ClipBpe bpe = ClipBpe::load(folder.path() / "merges.txt");
  EXPECT_EQ(bpe.tokenize_to_ids("the cat sits"), tiny().tokenize_to_ids("the cat sits"));
  const std::string merges = test::tiny_merges();
  const gzFile file = gzopen((folder.path() / "merges.gz").c_str(), "wb");
  gzwrite(file, merges.data(), static_cast<unsigned>(merges.size()));
  gzclose(file);
  EXPECT_EQ(ClipBpe::load(folder.path() / "merges.gz").size(), 524);
  folder.write("large.txt", std::string((std::size_t{16} << 20) + 1, 'a'));
  expect_error(ErrorCode::invalid_input, "large.txt", [&] { ClipBpe::load(folder.path() / "large.txt"); });
  expect_error(ErrorCode::not_found, "nowhere", [&] { ClipBpe::load(folder.path() / "nowhere"); });
}

TEST(ClipBpe, LongWordsTakeNoQuadraticTime) {
  // A merge of every occurrence of a million would not come to an end if each were searched for.
  const ClipBpe bpe = ClipBpe::parse("a a\naa aa\naaaa aaaa\n", "tiny");
  const std::vector<std::int64_t> ids = bpe.tokenize_to_ids(std::string(1'000'000, 'a'));
  EXPECT_EQ(ids.size(), 125'003u);  // 999,992 in eights, 4, 2, and two alone as the last ends the word
  std::string mixed;
  for (int i = 0; i < 200'000; ++i) mixed += "ab&";
  EXPECT_EQ(bpe.tokenize_to_ids(mixed).size(), 600'000u);
}

TEST(ClipBpe, ReadsTheVocabularyOfCLIP) {
  CAPDIFF_SHARED_OR_SKIP(vocabulary, "data/text/bpe_simple_vocab_16e6.txt.gz");
  const ClipBpe bpe = ClipBpe::load(vocabulary);
  EXPECT_EQ(bpe.size(), 49408);
  EXPECT_THAT(bpe.encode("a photo of a dog", 8).ids, ElementsAreArray({49406, 320, 1125, 539, 320, 1929, 49407, 0}));
  const test::TemporaryFolder folder;
  bpe.save(folder.path() / "merges.txt");
  EXPECT_EQ(ClipBpe::load(folder.path() / "merges.txt").size(), 49408);
}

}  // namespace
}  // namespace capdiff
