#include "capdiff/metrics/diversity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <unordered_set>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/ngrams.h"
#include "capdiff/metrics/term_vectors.h"

namespace capdiff {
namespace {

constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

/// A symmetric matrix, row by row.
struct SymmetricMatrix {
  explicit SymmetricMatrix(std::size_t order) : size(order), values(order * order, 0.0) {}
  double& operator()(std::size_t i, std::size_t j) { return values[i * size + j]; }

  std::size_t size;
  std::vector<double> values;
};

/// Turns rows and columns p and q so that the element between them vanishes (Jacobi).
void rotate(SymmetricMatrix& a, std::size_t p, std::size_t q) {
  const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q));
  const double t = std::copysign(1.0, theta) / (std::abs(theta) + std::sqrt(theta * theta + 1));
  const double c = 1 / std::sqrt(t * t + 1);
  const double s = t * c;
  for (std::size_t k = 0; k < a.size; ++k) {
    const double kp = a(k, p);
    const double kq = a(k, q);
    a(k, p) = c * kp - s * kq;
    a(k, q) = s * kp + c * kq;
  }
  for (std::size_t k = 0; k < a.size; ++k) {
    const double pk = a(p, k);
    const double qk = a(q, k);
    a(p, k) = c * pk - s * qk;
    a(q, k) = s * pk + c * qk;
  }
}

std::vector<double> eigenvalues(SymmetricMatrix a) {
  constexpr int kMostSweeps = 100;
  double scale = 0;
  for (const double value : a.values) scale = std::max(scale, std::abs(value));
  const double negligible = scale * std::numeric_limits<double>::epsilon();
  bool changed = true;
  for (int sweep = 0; changed && sweep < kMostSweeps; ++sweep) {
    changed = false;
    for (std::size_t p = 0; p < a.size; ++p) {
      for (std::size_t q = p + 1; q < a.size; ++q) {
        if (std::abs(a(p, q)) <= negligible) continue;
        rotate(a, p, q);
        changed = true;
      }
    }
  }
  std::vector<double> values;
  for (std::size_t i = 0; i < a.size; ++i) values.push_back(a(i, i));
  return values;
}

double self_cider_of(const std::vector<std::vector<std::uint32_t>>& captions, const DocumentFrequencies& frequencies) {
  const std::size_t m = captions.size();
  if (m < 2) return kNoValue;
  std::vector<TermVector> vectors;
  for (const auto& caption : captions) vectors.push_back(term_vector(caption, frequencies));
  SymmetricMatrix similarities(m);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = i; j < m; ++j)
      similarities(i, j) = similarities(j, i) = cider_similarity(vectors[i], vectors[j]);
  double largest = 0;
  double sum = 0;
  for (const double eigenvalue : eigenvalues(std::move(similarities))) {
    const double root = std::sqrt(std::max(0.0, eigenvalue));
    largest = std::max(largest, root);
    sum += root;
  }
  return sum > 0 ? std::max(0.0, -std::log(largest / sum) / std::log(static_cast<double>(m))) : 0.0;
}

}  // namespace

double Diversity::mean_length() const {
  return captions ? static_cast<double>(words) / static_cast<double>(captions) : 0.0;
}

double Diversity::vocabulary_usage(std::int64_t vocabulary_size) const {
  if (vocabulary_size < 1) fail(ErrorCode::invalid_input, "a vocabulary has at least one word");
  return static_cast<double>(distinct_words) / static_cast<double>(vocabulary_size);
}

Diversity diversity(std::span<const Tokens> captions) {
  Diversity result;
  WordNumbers numbers;
  std::set<std::vector<std::uint32_t>> distinct_captions;
  std::unordered_set<Ngram, NgramHash> distinct_ngrams;
  for (const auto& caption : captions) {
    auto words = numbers.number(caption);
    for (const auto& entry : count_ngrams(words)) distinct_ngrams.insert(entry.first);
    result.words += static_cast<std::int64_t>(words.size());
    distinct_captions.insert(std::move(words));
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

double novel_share(std::span<const Tokens> captions, std::span<const Tokens> training) {
  if (captions.empty()) fail(ErrorCode::invalid_input, "there are no captions that could be novel");
  const std::set<Tokens> known(training.begin(), training.end());
  const auto novel = std::ranges::count_if(captions, [&](const Tokens& caption) { return !known.contains(caption); });
  return static_cast<double>(novel) / static_cast<double>(captions.size());
}

MetricResult self_bleu(std::span<const std::vector<Tokens>> images) {
  std::vector<double> values(images.size(), kNoValue);
  parallel_for(images.size(), [&](std::size_t i) {
    const auto& captions = images[i];
    if (captions.size() < 2) return;
    BleuStatistics sum;
    for (std::size_t c = 0; c < captions.size(); ++c) {
      std::vector<Tokens> others = captions;
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(c));
      sum += bleu_statistics(captions[c], others);
    }
    values[i] = bleu_values(sum).back();
  });
  const double mean = mean_of_present(values);
  return {mean, std::move(values)};
}

MetricResult self_cider(std::span<const std::vector<Tokens>> images, const DocumentFrequencies& frequencies) {
  WordNumbers words = frequencies.words();
  std::vector<std::vector<std::vector<std::uint32_t>>> numbered(images.size());
  for (std::size_t i = 0; i < images.size(); ++i)
    for (const Tokens& caption : images[i]) numbered[i].push_back(words.number(caption));
  std::vector<double> values(images.size());
  parallel_for(images.size(), [&](std::size_t i) { values[i] = self_cider_of(numbered[i], frequencies); });
  const double mean = mean_of_present(values);
  return {mean, std::move(values)};
}

}  // namespace capdiff
