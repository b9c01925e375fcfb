#include "capdiff/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <tuple>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"

namespace capdiff {
namespace {

constexpr double kTiny = 1e-15;
constexpr double kSmall = 1e-9;

std::int64_t closest_length(std::size_t candidate, std::span<const Tokens> references) {
  const auto length = static_cast<std::int64_t>(candidate);
  const auto closest = std::min_element(references.begin(), references.end(), [&](const Tokens& a, const Tokens& b) {
    const auto a_length = static_cast<std::int64_t>(a.size());
    const auto b_length = static_cast<std::int64_t>(b.size());
    return std::tuple(std::abs(a_length - length), a_length) < std::tuple(std::abs(b_length - length), b_length);
  });
  return static_cast<std::int64_t>(closest->size());
}

}  // namespace

BleuStatistics& BleuStatistics::operator+=(const BleuStatistics& other) {
  for (std::size_t n = 0; n < kMaxNgramOrder; ++n) {
    matches[n] += other.matches[n];
    totals[n] += other.totals[n];
  }
  candidate_length += other.candidate_length;
  reference_length += other.reference_length;
  return *this;
}

BleuStatistics bleu_statistics(const Tokens& candidate, std::span<const Tokens> references) {
  if (references.empty()) fail(ErrorCode::invalid_input, "BLEU needs at least one reference");
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

std::vector<BleuStatistics> bleu_statistics(std::span<const ScoredImage> images) {
  require_references(images);
  std::vector<BleuStatistics> statistics(images.size());
  parallel_for(images.size(),
               [&](std::size_t i) { statistics[i] = bleu_statistics(images[i].candidate, images[i].references); });
  return statistics;
}

std::array<double, kMaxNgramOrder> bleu_values(const BleuStatistics& counts) {
  const double ratio =
      (static_cast<double>(counts.candidate_length) + kTiny) / (static_cast<double>(counts.reference_length) + kSmall);
  const double brevity = ratio < 1 ? std::exp(1 - 1 / ratio) : 1.0;
  std::array<double, kMaxNgramOrder> values;
  double product = 1;
  for (std::size_t n = 0; n < values.size(); ++n) {
    product *= (static_cast<double>(counts.matches[n]) + kTiny) / (static_cast<double>(counts.totals[n]) + kSmall);
    values[n] = std::pow(product, 1.0 / static_cast<double>(n + 1)) * brevity;
  }
  return values;
}

std::array<MetricResult, kMaxNgramOrder> bleu(std::span<const ScoredImage> images) {
  std::array<MetricResult, kMaxNgramOrder> results;
  BleuStatistics corpus;
  for (const auto& counts : bleu_statistics(images)) {
    corpus += counts;
    const auto values = bleu_values(counts);
    for (std::size_t n = 0; n < values.size(); ++n) results[n].per_image.push_back(values[n]);
  }
  const auto values = bleu_values(corpus);
  for (std::size_t n = 0; n < values.size(); ++n) results[n].corpus = values[n];
  return results;
}

double sentence_bleu(const Tokens& candidate, std::span<const Tokens> references, BleuSmoothing smoothing) {
  const auto counts = bleu_statistics(candidate, references);
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
      switch (smoothing) {
        case BleuSmoothing::add_one: break;
        case BleuSmoothing::method1: matches = 0.1; break;
        case BleuSmoothing::method4:
          // A candidate of one word has ln(1) = 0 to offer: its higher orders are left out of the mean.
          if (counts.candidate_length < 2) continue;
          matches = std::log(length) / (5 * std::exp2(++zero_orders));
          break;
        case BleuSmoothing::none: matches = total * std::numeric_limits<double>::min(); break;
      }
    }
    log_precision += std::log(matches / total) / static_cast<double>(kMaxNgramOrder);
  }
  const auto reference_length = static_cast<double>(counts.reference_length);
  return std::exp(log_precision + std::min(0.0, 1 - reference_length / length));
}

}  // namespace capdiff
