#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "capdiff/metrics/document_frequencies.h"
#include "capdiff/metrics/ngrams.h"

namespace capdiff {

/// A caption as CIDEr sees it: tf · (ln N - ln max(1, df)) of its n-grams.
struct TermVector {
  std::vector<std::pair<Ngram, double>> weights;  ///< sorted by n-gram
  std::array<double, kMaxNgramOrder> norms{};     ///< Euclidean, of order n at [n - 1]
  std::int64_t bigrams = 0;
};

/// `words` are numbered by `frequencies.words()`, or a copy of them that has learned more.
TermVector term_vector(std::span<const std::uint32_t> words, const DocumentFrequencies& frequencies);

/// The mean over the orders n = 1..4 of sum min(h, r) r / (|h| |r|), times exp(-delta² / (2 · 6²)), delta being the
/// difference of the numbers of bigrams: CIDEr-D of one reference, less its factor of ten.
double cider_d_similarity(const TermVector& candidate, const TermVector& reference);

/// The mean over the orders of the cosine: CIDEr, which is symmetric. An order in which a caption is empty counts 0.
double cider_similarity(const TermVector& a, const TermVector& b);

}  // namespace capdiff
