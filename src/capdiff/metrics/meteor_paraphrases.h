#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "capdiff/base/string_map.h"

namespace capdiff {

/// METEOR's table of phrases that say the same (`paraphrase-en.gz`, extracted from parallel text).
class MeteorParaphrases {
 public:
  /// A phrase of the table in a sentence.
  struct Occurrence {
    std::uint32_t phrase = 0;  ///< its number
    std::uint32_t begin = 0;   ///< index of its first word
    std::uint32_t words = 0;
  };
  /// What a phrase may be replaced by.
  struct Paraphrase {
    std::uint32_t phrase = 0;
    std::uint32_t order = 0;  ///< place of the pair in the file
  };

  /// No paraphrases.
  MeteorParaphrases() = default;

  /// Reads a table, compressed with gzip or not. A pair takes three lines: a probability, which METEOR does not use,
  /// the phrase and its paraphrase, words with spaces between them. Words are compared as bytes. Throws
  /// `Error(invalid_input)` that names the file and the line for anything else, phrases of more than 255 words, more
  /// than 2^25 pairs, 2^27 words of phrases or 1 GiB of text.
  static MeteorParaphrases load(const std::filesystem::path& path);

  bool empty() const { return paraphrases_.empty(); }
  /// Number of pairs.
  std::size_t size() const { return paraphrases_.size(); }

  /// The number of a word of the table, from 1; 0 for all others.
  std::uint32_t word_number(std::string_view word) const;
  /// Phrases of the table in a sentence of numbered words: by where they begin, short ones first.
  std::vector<Occurrence> occurrences(std::span<const std::uint32_t> words) const;
  /// The paraphrases of a phrase, by their phrase and then their order.
  std::span<const Paraphrase> paraphrases(std::uint32_t phrase) const;

 private:
  class Phrases {
   public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFF;

    /// The number of a phrase, from 0; kNone for one that was not added.
    std::uint32_t find(std::span<const std::uint32_t> words) const;
    std::uint32_t add(std::span<const std::uint32_t> words);
    std::size_t size() const { return ends_.size(); }
    std::size_t total_words() const { return words_.size(); }
    std::size_t longest() const { return longest_; }

   private:
    std::span<const std::uint32_t> words_of(std::uint32_t phrase) const;
    /// Where `words` are in the hash table, or could be put.
    std::size_t slot(std::span<const std::uint32_t> words) const;
    void grow();

    std::vector<std::uint32_t> words_;  // of all phrases
    std::vector<std::uint32_t> ends_;   // of each phrase in words_
    std::vector<std::uint32_t> slots_;  // numbers of phrases, hashed with linear probing; a power of two of them
    std::size_t longest_ = 0;
  };

  std::uint32_t add_phrase(std::string_view line);
  void arrange(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs);

  StringMap<std::uint32_t> word_numbers_;
  Phrases phrases_;
  std::vector<Paraphrase> paraphrases_;  // of all phrases
  std::vector<std::uint32_t> first_;     // of each phrase in paraphrases_, and one past the last
};

}  // namespace capdiff
