#include "capdiff/metrics/cider_d.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr double kSigma = 6.0;

/// A caption as CIDEr-D sees it.
struct TermVector {
  std::vector<std::pair<Ngram, double>> weights;  // sorted by n-gram
  std::array<double, kMaxNgramOrder> norms{};     // one for each order
  std::int64_t bigrams = 0;
};

TermVector term_vector(const Tokens& tokens, WordNumbers& words, const DocumentFrequencies& frequencies) {
  const double log_images = std::log(static_cast<double>(frequencies.images()));
  TermVector vector;
  vector.bigrams = ngram_total(tokens.size(), 2);
  for (const auto& [ngram, count] : count_ngrams(words.number(tokens))) {
    const auto frequency = static_cast<double>(std::max<std::int64_t>(1, frequencies[ngram]));
    const double weight = static_cast<double>(count) * (log_images - std::log(frequency));
    vector.weights.emplace_back(ngram, weight);
    vector.norms[order(ngram) - 1] += weight * weight;
  }
  for (double& norm : vector.norms) norm = std::sqrt(norm);
  return vector;
}

/// The mean of sim_n over the four orders.
double similarity(const TermVector& candidate, const TermVector& reference) {
  std::array<double, kMaxNgramOrder> products{};
  auto other = reference.weights.begin();
  for (const auto& [ngram, weight] : candidate.weights) {
    while (other != reference.weights.end() && other->first < ngram) ++other;
    if (other == reference.weights.end()) break;
    if (other->first == ngram) products[order(ngram) - 1] += std::min(weight, other->second) * other->second;
  }
  double sum = 0;
  for (std::size_t n = 0; n < kMaxNgramOrder; ++n) {
    const double norms = candidate.norms[n] * reference.norms[n];
    sum += norms > 0 ? products[n] / norms : products[n];
  }
  const auto delta = static_cast<double>(candidate.bigrams - reference.bigrams);
  return sum / static_cast<double>(kMaxNgramOrder) * std::exp(-delta * delta / (2 * kSigma * kSigma));
}

}  // namespace

DocumentFrequencies::DocumentFrequencies(std::span<const std::vector<Tokens>> references) {
  if (references.empty()) fail(ErrorCode::invalid_input, "document frequencies need at least one image");
  for (const auto& image : references) add(image);
}

DocumentFrequencies::DocumentFrequencies(std::span<const ScoredImage> images) {
  require_references(images);
  for (const auto& image : images) add(image.references);
}

void DocumentFrequencies::add(const std::vector<Tokens>& references) {
  std::vector<Ngram> ngrams;
  for (const auto& reference : references) {
    for (const auto& entry : count_ngrams(words_.number(reference))) ngrams.push_back(entry.first);
  }
  std::sort(ngrams.begin(), ngrams.end());
  ngrams.erase(std::unique(ngrams.begin(), ngrams.end()), ngrams.end());
  for (const auto& ngram : ngrams) ++counts_[ngram];
  ++images_;
}

std::int64_t DocumentFrequencies::operator[](const Ngram& ngram) const {
  const auto found = counts_.find(ngram);
  return found == counts_.end() ? 0 : found->second;
}

MetricResult cider_d(std::span<const ScoredImage> images, const DocumentFrequencies& frequencies) {
  require_references(images);
  WordNumbers words = frequencies.words();
  std::vector<double> values;
  for (const auto& image : images) {
    const auto candidate = term_vector(image.candidate, words, frequencies);
    double sum = 0;
    for (const auto& reference : image.references) {
      sum += similarity(candidate, term_vector(reference, words, frequencies));
    }
    values.push_back(10 * sum / static_cast<double>(image.references.size()));
  }
  return mean_over_images(std::move(values));
}

MetricResult cider_d(std::span<const ScoredImage> images) {
  return cider_d(images, DocumentFrequencies(images));
}

}  // namespace capdiff
