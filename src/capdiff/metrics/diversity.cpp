#include "capdiff/metrics/diversity.h"

#include <set>
#include <unordered_set>

#include "capdiff/metrics/ngrams.h"

namespace capdiff {

Diversity diversity(std::span<const Tokens> captions) {
  Diversity result;
  WordNumbers numbers;
  std::set<std::vector<std::uint32_t>> distinct_captions;
  std::unordered_set<Ngram, NgramHash> distinct_ngrams;
  for (const auto& caption : captions) {
    const auto words = numbers.number(caption);
    for (const auto& entry : count_ngrams(words)) distinct_ngrams.insert(entry.first);
    result.words += static_cast<std::int64_t>(words.size());
    distinct_captions.insert(words);
  }
  result.captions = static_cast<std::int64_t>(captions.size());
  result.distinct_captions = static_cast<std::int64_t>(distinct_captions.size());

  std::array<std::int64_t, kMaxNgramOrder> distinct{};
  for (const auto& ngram : distinct_ngrams) ++distinct[order(ngram) - 1];
  result.distinct_words = distinct[0];
  for (std::size_t n = 0; n < result.dist.size() && result.words > 0; ++n) {
    result.dist[n] = static_cast<double>(distinct[n]) / static_cast<double>(result.words);
  }
  return result;
}

}  // namespace capdiff
