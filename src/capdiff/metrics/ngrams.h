#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

inline constexpr std::size_t kMaxNgramOrder = 4;

/// Up to four word numbers; zeros fill the places a shorter n-gram does not use.
using Ngram = std::array<std::uint32_t, kMaxNgramOrder>;

/// Number of words of an n-gram, 1 to 4.
std::size_t order(const Ngram& ngram);

struct NgramHash {
  std::size_t operator()(const Ngram& ngram) const;
};

/// Numbers words from 1 in the order in which they are first seen.
class WordNumbers {
 public:
  std::vector<std::uint32_t> number(const Tokens& tokens);

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

/// All n-grams of orders 1 to 4 of a caption and how often each occurs, sorted by n-gram.
using NgramCounts = std::vector<std::pair<Ngram, std::int64_t>>;
NgramCounts count_ngrams(std::span<const std::uint32_t> words);

/// How often `ngram` occurs; 0 where it does not.
std::int64_t count_of(const NgramCounts& counts, const Ngram& ngram);

/// For each order n (at [n - 1]): occurrences of the candidate's n-grams, each counted at most as often as in the
/// reference that has most of it.
std::array<std::int64_t, kMaxNgramOrder> clipped_matches(const NgramCounts& candidate,
                                                         std::span<const NgramCounts> references);

/// Number of n-grams of order `n` in a caption of `words` words.
inline std::int64_t ngram_total(std::size_t words, std::size_t n) {
  return words < n ? 0 : static_cast<std::int64_t>(words - n + 1);
}

}  // namespace capdiff
