#include "capdiff/text/word_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

using testing::ElementsAre;

WordVocabulary small_vocabulary() {
  return {{"START", "END", "UNK", "PAD", "a", "dog", "runs"}, "here"};
}

TEST(CaptionWords, LeavePunctuationOut) {
  EXPECT_THAT(caption_words("A dog, running!  (Fast) - caf\u00e9."),
              ElementsAre("a", "dog", "running", "fast", "cafe"));
}

TEST(WordVocabulary, HoldsTheFrequentWords) {
  WordCounts counts;
  counts.add("the dog sees the cat .");
  counts.add("the dog runs .");
  EXPECT_THAT(WordVocabulary::of(counts, 2, 100).words(), ElementsAre("START", "END", "UNK", "PAD", "the", "dog"));
  EXPECT_THAT(WordVocabulary::of(counts, 1, 7).words(), ElementsAre("START", "END", "UNK", "PAD", "the", "dog", "cat"));
  expect_error(ErrorCode::usage, "no word", [&] { WordVocabulary::of(counts, 9, 100); });
  expect_error(ErrorCode::usage, "no word", [&] { WordVocabulary::of(counts, 1, 4); });
}

TEST(WordVocabulary, EncodesAndReads) {
  const WordVocabulary vocabulary = small_vocabulary();
  const EncodedText encoded = vocabulary.encode("A cat runs.", 5);
  EXPECT_THAT(encoded.ids, ElementsAre(4, 2, 6, 3, 3));
  EXPECT_THAT(encoded.attention_mask, ElementsAre(1, 1, 1, 0, 0));
  EXPECT_FALSE(encoded.truncated);
  EXPECT_TRUE(vocabulary.encode("a dog runs", 2).truncated);
  EXPECT_EQ(vocabulary.text(std::vector<std::int64_t>{0, 4, 2, 5, 6, 3, 4}), "a dog runs");
  EXPECT_EQ(vocabulary.text(std::vector<std::int64_t>{4, 1, 5}), "a");
  expect_error(ErrorCode::invalid_input, "word id 7", [&] { vocabulary.word(7); });
}

TEST(WordVocabulary, ComesBackFromItsFile) {
  const TemporaryFolder folder;
  small_vocabulary().save(folder.path() / "vocab.txt");
  EXPECT_EQ(WordVocabulary::load(folder.path() / "vocab.txt").words(), small_vocabulary().words());
  expect_error(ErrorCode::invalid_model, "PAD is missing", [] { WordVocabulary({"START", "END", "UNK"}, "here"); });
  expect_error(ErrorCode::invalid_model, "the same token", [] {
    WordVocabulary({"START", "END", "UNK", "PAD", "a", "a"}, "here");
  });
}

TEST(ReleasedSentence, EndsCapitalisesAndDropsPunctuation) {
  EXPECT_EQ(released_sentence("START a Man , riding END PAD"), "A man  riding");
  EXPECT_EQ(released_sentence("a dog PAD"), "A dog pad");
  EXPECT_EQ(released_sentence("a dog PAD", {.cut_at_pad = true}), "A dog");
  EXPECT_EQ(released_sentence("it's red !", {.keep_punctuation = true}), "It's red !");
  EXPECT_EQ(released_sentence("END"), "");
}

}  // namespace
}  // namespace capdiff::test
