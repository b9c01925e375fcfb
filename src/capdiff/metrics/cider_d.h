#pragma once

#include <span>

#include "capdiff/metrics/document_frequencies.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// CIDEr-D (Vedantam et al., 2015) as the COCO caption evaluation computes it. Captions are vectors of
/// tf · (ln N - ln max(1, df)) for each order n = 1..4; with h and r those of candidate and reference,
///   sim_n = sum min(h, r) r / (|h| |r|) · exp(-delta² / (2 · 6²)),
/// delta being the difference of their numbers of bigrams. The value of an image is ten times the mean of sim_n over
/// orders and references, the corpus value the mean over images.
MetricResult cider_d(std::span<const ScoredImage> images, const DocumentFrequencies& frequencies);

/// With the document frequencies of the images themselves.
MetricResult cider_d(std::span<const ScoredImage> images);

}  // namespace capdiff
