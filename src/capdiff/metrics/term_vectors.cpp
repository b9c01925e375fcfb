#include "capdiff/metrics/term_vectors.h"

#include <algorithm>
#include <cmath>

namespace capdiff {
namespace {

/// For each order, the sum of `product(weight in a, weight in b)` over the n-grams that both have.
template <class Product>
std::array<double, kMaxNgramOrder> products(const TermVector& a, const TermVector& b, Product&& product) {
  std::array<double, kMaxNgramOrder> sums{};
  auto other = b.weights.begin();
  for (const auto& [ngram, weight] : a.weights) {
    while (other != b.weights.end() && other->first < ngram) ++other;
    if (other == b.weights.end()) break;
    if (other->first == ngram) sums[order(ngram) - 1] += product(weight, other->second);
  }
  return sums;
}

double mean_of_orders(const std::array<double, kMaxNgramOrder>& sums, const TermVector& a, const TermVector& b) {
  double total = 0;
  for (std::size_t n = 0; n < kMaxNgramOrder; ++n) {
    const double norms = a.norms[n] * b.norms[n];
    total += norms > 0 ? sums[n] / norms : sums[n];
  }
  return total / static_cast<double>(kMaxNgramOrder);
}

}  // namespace

TermVector term_vector(std::span<const std::uint32_t> words, const DocumentFrequencies& frequencies) {
  const double log_images = std::log(static_cast<double>(frequencies.images()));
  TermVector vector;
  vector.bigrams = ngram_total(words.size(), 2);
  const NgramCounts counts = count_ngrams(words);
  vector.weights.reserve(counts.size());
  for (const auto& entry : counts) frequencies.prefetch(entry.first);
  for (const auto& [ngram, count] : counts) {
    const auto frequency = static_cast<double>(std::max<std::int64_t>(1, frequencies[ngram]));
    const double weight = static_cast<double>(count) * (log_images - std::log(frequency));
    vector.weights.emplace_back(ngram, weight);
    vector.norms[order(ngram) - 1] += weight * weight;
  }
  for (double& norm : vector.norms) norm = std::sqrt(norm);
  return vector;
}

double cider_d_similarity(const TermVector& candidate, const TermVector& reference) {
  constexpr double kSigma = 6.0;
  const auto sums = products(candidate, reference, [](double h, double r) { return std::min(h, r) * r; });
  const auto delta = static_cast<double>(candidate.bigrams - reference.bigrams);
  return mean_of_orders(sums, candidate, reference) * std::exp(-delta * delta / (2 * kSigma * kSigma));
}

double cider_similarity(const TermVector& a, const TermVector& b) {
  return mean_of_orders(products(a, b, [](double h, double r) { return h * r; }), a, b);
}

}  // namespace capdiff
