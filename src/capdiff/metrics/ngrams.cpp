#include "capdiff/metrics/ngrams.h"

#include <algorithm>

namespace capdiff {

std::size_t order(const Ngram& ngram) {
  return static_cast<std::size_t>(std::find(ngram.begin(), ngram.end(), 0u) - ngram.begin());
}

std::size_t NgramHash::operator()(const Ngram& ngram) const {
  std::uint64_t hash = 0;
  for (const auto word : ngram) hash = (hash ^ word) * 0x9E3779B97F4A7C15u + (hash >> 29);
  return hash;
}

std::vector<std::uint32_t> WordNumbers::number(const Tokens& tokens) {
  std::vector<std::uint32_t> words;
  words.reserve(tokens.size());
  for (const auto& token : tokens) {
    words.push_back(numbers_.emplace(token, static_cast<std::uint32_t>(numbers_.size() + 1)).first->second);
  }
  return words;
}

NgramCounts count_ngrams(std::span<const std::uint32_t> words) {
  std::vector<Ngram> ngrams;
  ngrams.reserve(words.size() * kMaxNgramOrder);
  for (std::size_t begin = 0; begin < words.size(); ++begin) {
    Ngram ngram{};
    for (std::size_t n = 0; n < kMaxNgramOrder && begin + n < words.size(); ++n) {
      ngram[n] = words[begin + n];
      ngrams.push_back(ngram);
    }
  }
  std::sort(ngrams.begin(), ngrams.end());
  NgramCounts counts;
  for (const auto& ngram : ngrams) {
    if (counts.empty() || counts.back().first != ngram) counts.emplace_back(ngram, 0);
    ++counts.back().second;
  }
  return counts;
}

std::int64_t count_of(const NgramCounts& counts, const Ngram& ngram) {
  const auto found = std::lower_bound(counts.begin(), counts.end(), ngram,
                                      [](const auto& entry, const Ngram& wanted) { return entry.first < wanted; });
  return found != counts.end() && found->first == ngram ? found->second : 0;
}

std::array<std::int64_t, kMaxNgramOrder> clipped_matches(const NgramCounts& candidate,
                                                         std::span<const NgramCounts> references) {
  std::array<std::int64_t, kMaxNgramOrder> matches{};
  for (const auto& [ngram, count] : candidate) {
    std::int64_t most = 0;
    for (const auto& reference : references) most = std::max(most, count_of(reference, ngram));
    matches[order(ngram) - 1] += std::min(count, most);
  }
  return matches;
}

}  // namespace capdiff
