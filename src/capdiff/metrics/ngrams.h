#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

inline constexpr std::size_t kMaxNgramOrder = 4;

/// Up to four word numbers; zeros fill the places a shorter n-gram does not use. Compared in two steps: the order is
/// one that sorting can rely on, and no other.
struct Ngram {
  std::array<std::uint32_t, kMaxNgramOrder> words{};

  std::uint32_t& operator[](std::size_t n) { return words[n]; }
  std::uint32_t operator[](std::size_t n) const { return words[n]; }
  std::array<std::uint64_t, 2> halves() const { return std::bit_cast<std::array<std::uint64_t, 2>>(words); }
  friend bool operator==(const Ngram& a, const Ngram& b) { return a.halves() == b.halves(); }
  friend auto operator<=>(const Ngram& a, const Ngram& b) { return a.halves() <=> b.halves(); }
};

/// Number of words of an n-gram, 1 to 4.
std::size_t order(const Ngram& ngram);

struct NgramHash {
  std::size_t operator()(const Ngram& ngram) const;
};

/// Counts n-grams. Open addressing: a look-up touches one place in memory, and millions of n-grams fit.
class NgramTable {
 public:
  /// The count of an n-gram, 0 where it is new. Valid until the next call.
  std::uint32_t& operator[](const Ngram& ngram);
  /// 0 where the n-gram is not there.
  std::uint32_t count(const Ngram& ngram) const;
  /// Asks for the memory that a look-up is about to need.
  void prefetch(const Ngram& ngram) const;
  std::size_t size() const { return size_; }

  /// Calls visit(ngram, count) for each, in no order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_)
      if (slot.ngram[0] != 0) visit(slot.ngram, slot.count);
  }

 private:
  struct Slot {
    Ngram ngram{};  // word numbers begin at 1: a slot whose first is 0 is free
    std::uint32_t count = 0;
  };

  /// The slot of an n-gram, or the free one where it belongs.
  std::size_t find(const Ngram& ngram) const;
  void grow();

  std::vector<Slot> slots_;  // a power of two of them, or none
  std::size_t size_ = 0;
};

/// Numbers words from 1 in the order in which they are first seen.
class WordNumbers {
 public:
  std::vector<std::uint32_t> number(const Tokens& tokens);
  /// The word of number n at [n - 1].
  std::vector<std::string> words() const;

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

/// Appends all n-grams of orders 1 to 4 of a caption.
void append_ngrams(std::vector<Ngram>& ngrams, std::span<const std::uint32_t> words);

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
