#include "capdiff/text/vocabulary_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "capdiff/base/error.h"
#include "capdiff/text/basic_tokenizer.h"
#include "capdiff/text/detokenise.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {
namespace {

using ::testing::ElementsAre;

TEST(WordCounts, CountsWordsOfCaptions) {
  WordCounts words;
  words.add("A dog, a Dog.");
  words.add("a cat", 3);
  words.add(std::string(101, 'x'));
  EXPECT_THAT(words.counts(), ElementsAre(std::pair<const std::string, std::int64_t>{",", 1}, std::pair(".", 1),
                                          std::pair("a", 5), std::pair("cat", 3), std::pair("dog", 2)));
}

TEST(VocabularyTrainer, MergesTheMostFrequentPairFirst) {
  // Pairs at first: a+##b 5+2, ##b+##c 5, x+##a 3, ##a+##b 3. Then ab+##c 5, and so on.
  WordCounts words;
  words.add("abc", 5);
  words.add("ab", 2);
  words.add("xab", 3);
  const auto vocabulary = train_vocabulary(words, {.size = 100});
  EXPECT_THAT(vocabulary.tokens(), ElementsAre("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".",  //
                                               "##b", "a", "##c", "##a", "x",                      //
                                               "ab", "abc", "##ab", "xab"));
}

TEST(VocabularyTrainer, CountsOverlappingPairsOnce) {
  WordCounts words;
  words.add("zaaaa", 4);
  const auto vocabulary = train_vocabulary(words, {.size = 9});
  // ##a+##a stands three times in the word and beats z+##a; it is merged from the left.
  EXPECT_THAT(vocabulary.tokens().back(), "##aa");
}

TEST(VocabularyTrainer, RareCharactersAndPairsAreLeftOut) {
  WordCounts words;
  words.add("dog", 2);
  words.add("cat");
  const auto vocabulary = train_vocabulary(words, {.size = 100});
  EXPECT_TRUE(vocabulary.find("dog"));
  EXPECT_FALSE(vocabulary.find("c"));
  EXPECT_THAT(WordPieceTokenizer(vocabulary).tokenize("cat dog"), ElementsAre("[UNK]", "dog"));
  EXPECT_TRUE(train_vocabulary(words, {.size = 100, .min_character_count = 1, .min_pair_count = 1}).find("cat"));
}

TEST(VocabularyTrainer, StopsAtTheSize) {
  WordCounts words;
  words.add("abcdefgh", 10);
  EXPECT_EQ(train_vocabulary(words, {.size = 16}).size(), 16);
  EXPECT_EQ(train_vocabulary(words, {.size = 10}).size(), 10);
  EXPECT_THROW(train_vocabulary(words, {.size = 6}), Error);
  EXPECT_THROW(train_vocabulary(words, {.size = -1}), Error);
}

TEST(VocabularyTrainer, AnEmptyCorpusGivesTheSpecialTokens) {
  EXPECT_EQ(train_vocabulary({}, {}).size(), 6);
}

WordCounts random_corpus(unsigned seed) {
  std::mt19937 random(seed);
  WordCounts words;
  static const std::vector<std::string> kLetters{"a", "b", "c", "d", "я", "ж", "𐐨"};
  for (int i = 0; i < 400; ++i) {
    std::string word;
    for (auto length = 1 + random() % 9; length > 0; --length) word += kLetters[random() % kLetters.size()];
    words.add(word, 1 + static_cast<std::int64_t>(random() % 20));
  }
  return words;
}

TEST(VocabularyTrainer, TheSameCorpusGivesTheSameVocabulary) {
  EXPECT_EQ(train_vocabulary(random_corpus(3), {.size = 300}).tokens(),
            train_vocabulary(random_corpus(3), {.size = 300}).tokens());
}

TEST(VocabularyTrainer, EveryWordOfTheCorpusCanBeWrittenAndReadBack) {
  for (unsigned seed = 0; seed < 5; ++seed) {
    const auto words = random_corpus(seed);
    const WordPieceTokenizer tokenizer(train_vocabulary(words, {.size = 200, .min_character_count = 1}));
    for (const auto& [word, count] : words.counts()) {
      EXPECT_EQ(join_pieces(tokenizer.vocabulary(), tokenizer.tokenize_to_ids(word)), word);
    }
  }
}

/// Merges chosen by counting all pairs anew each time.
std::vector<std::string> train_slowly(const WordCounts& words, std::size_t merges) {
  std::vector<std::pair<std::vector<std::string>, std::int64_t>> corpus;
  for (const auto& [word, count] : words.counts()) {
    std::vector<std::string> pieces;
    for (const char byte : word) {
      if ((byte & 0xC0) != 0x80) pieces.push_back(pieces.empty() ? "" : "##");
      pieces.back() += byte;
    }
    corpus.emplace_back(pieces, count);
  }
  std::vector<std::string> made;
  for (std::size_t m = 0; m < merges; ++m) {
    std::map<std::pair<std::string, std::string>, std::int64_t> pairs;
    for (const auto& [pieces, count] : corpus) {
      for (std::size_t i = 0; i + 1 < pieces.size(); ++i) pairs[{pieces[i], pieces[i + 1]}] += count;
    }
    auto best = pairs.begin();
    for (auto it = pairs.begin(); it != pairs.end(); ++it) {
      if (it->second > best->second) best = it;
    }
    const auto [left, right] = best->first;
    made.push_back(left + right.substr(2));
    for (auto& [pieces, count] : corpus) {
      std::vector<std::string> next;
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const bool found = i + 1 < pieces.size() && pieces[i] == left && pieces[i + 1] == right;
        next.push_back(found ? made.back() : pieces[i]);
        i += found;
      }
      pieces = next;
    }
  }
  return made;
}

TEST(VocabularyTrainer, IncrementalCountsEqualCountingAnew) {
  const auto words = random_corpus(11);
  const auto vocabulary = train_vocabulary(words, {.size = 140, .min_character_count = 1, .min_pair_count = 1});
  std::vector<std::string> slow;
  for (auto& piece : train_slowly(words, 120)) {
    if (std::find(slow.begin(), slow.end(), piece) == slow.end()) slow.push_back(std::move(piece));
  }
  const std::size_t characters = 20;  // the six first tokens, and fourteen characters at the start or inside of words
  ASSERT_EQ(vocabulary.size(), 140);
  ASSERT_GE(slow.size(), 100u);
  for (std::size_t i = characters; i < characters + 100; ++i) {
    EXPECT_EQ(vocabulary.tokens()[i], slow[i - characters]) << i;
  }
}

}  // namespace
}  // namespace capdiff
