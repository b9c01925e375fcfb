#include "capdiff/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <tuple>

#include "capdiff/base/error.h"
#include "capdiff/metrics/ngrams.h"

namespace capdiff {
namespace {

constexpr double kTiny = 1e-15;
constexpr double kSmall = 1e-9;

/// What BLEU counts; sums of it over images give the corpus value.
struct BleuStatistics {
  std::array<std::int64_t, kMaxNgramOrder> matches{};
  std::array<std::int64_t, kMaxNgramOrder> totals{};
  std::int64_t candidate_length = 0;
  std::int64_t reference_length = 0;

  BleuStatistics& operator+=(const BleuStatistics& other) {
    for (std::size_t n = 0; n < kMaxNgramOrder; ++n) {
      matches[n] += other.matches[n];
      totals[n] += other.totals[n];
    }
    candidate_length += other.candidate_length;
    reference_length += other.reference_length;
    return *this;
  }
};

std::int64_t closest_length(std::size_t candidate, std::span<const Tokens> references) {
  const auto length = static_cast<std::int64_t>(candidate);
  const auto closest = std::min_element(references.begin(), references.end(), [&](const Tokens& a, const Tokens& b) {
    const auto a_length = static_cast<std::int64_t>(a.size());
    const auto b_length = static_cast<std::int64_t>(b.size());
    return std::tuple(std::abs(a_length - length), a_length) < std::tuple(std::abs(b_length - length), b_length);
  });
  return static_cast<std::int64_t>(closest->size());
}

BleuStatistics statistics(const Tokens& candidate, std::span<const Tokens> references) {
  WordNumbers words;
  std::vector<NgramCounts> reference_counts;
  for (const auto& reference : references) reference_counts.push_back(count_ngrams(words.number(reference)));
  BleuStatistics result;
  result.matches = clipped_matches(count_ngrams(words.number(candidate)), reference_counts);
  for (std::size_t n = 1; n <= kMaxNgramOrder; ++n) result.totals[n - 1] = ngram_total(candidate.size(), n);
  result.candidate_length = static_cast<std::int64_t>(candidate.size());
  result.reference_length = closest_length(candidate.size(), references);
  return result;
}

std::array<double, 4> bleu_values(const BleuStatistics& counts) {
  const double ratio =
      (static_cast<double>(counts.candidate_length) + kTiny) / (static_cast<double>(counts.reference_length) + kSmall);
  const double brevity = ratio < 1 ? std::exp(1 - 1 / ratio) : 1.0;
  std::array<double, 4> values;
  double product = 1;
  for (std::size_t n = 0; n < values.size(); ++n) {
    product *= (static_cast<double>(counts.matches[n]) + kTiny) / (static_cast<double>(counts.totals[n]) + kSmall);
    values[n] = std::pow(product, 1.0 / static_cast<double>(n + 1)) * brevity;
  }
  return values;
}

}  // namespace

std::array<MetricResult, 4> bleu(std::span<const ScoredImage> images) {
  require_references(images);
  std::array<MetricResult, 4> results;
  const auto keep = [&results](const std::array<double, 4>& values, auto&& store) {
    for (std::size_t n = 0; n < values.size(); ++n) store(results[n], values[n]);
  };
  BleuStatistics corpus;
  for (const auto& image : images) {
    const auto counts = statistics(image.candidate, image.references);
    corpus += counts;
    keep(bleu_values(counts), [](MetricResult& result, double value) { result.per_image.push_back(value); });
  }
  keep(bleu_values(corpus), [](MetricResult& result, double value) { result.corpus = value; });
  return results;
}

double sentence_bleu(const Tokens& candidate, std::span<const Tokens> references, BleuSmoothing smoothing) {
  if (references.empty()) fail(ErrorCode::invalid_input, "sentence BLEU needs at least one reference");
  const auto counts = statistics(candidate, references);
  if (counts.matches[0] == 0) return 0;
  const auto length = static_cast<double>(counts.candidate_length);
  double log_precision = 0;
  double zero_orders = 0;
  for (std::size_t n = 0; n < kMaxNgramOrder; ++n) {
    auto matches = static_cast<double>(counts.matches[n]);
    auto total = static_cast<double>(std::max<std::int64_t>(1, counts.totals[n]));
    if (smoothing == BleuSmoothing::add_one && n > 0) {
      matches += 1;
      total = static_cast<double>(counts.totals[n] + 1);
    } else if (matches == 0) {
      // A candidate of one word has ln(1) = 0 to offer: its higher orders are left out of the mean.
      if (counts.candidate_length < 2) continue;
      matches = std::log(length) / (5 * std::exp2(++zero_orders));
    }
    log_precision += std::log(matches / total) / static_cast<double>(kMaxNgramOrder);
  }
  const auto reference_length = static_cast<double>(counts.reference_length);
  return std::exp(log_precision + std::min(0.0, 1 - reference_length / length));
}

}  // namespace capdiff
