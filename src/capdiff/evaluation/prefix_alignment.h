#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "capdiff/captioners/prefix_model.h"
#include "capdiff/text/word_vocabulary.h"

namespace capdiff {

/// Cosines, summarised.
struct CosineDistribution {
  static constexpr std::size_t kBins = 20;

  std::int64_t count = 0;
  double mean = 0.0, deviation = 0.0;
  std::array<std::int64_t, kBins> histogram{};  ///< equal bins over [−1, 1]
};

CosineDistribution cosine_distribution(std::span<const double> cosines);

/// How near the prefix of a picture is to captions where the denoiser reads them side by side: cosines of the mean of
/// its prefix tokens and the mean of a caption's word tokens (both behind their LayerNorm, at t = 0, without noise).
struct PrefixAlignment {
  CosineDistribution own;      ///< with the picture's own captions
  CosineDistribution others;   ///< with those of the next picture
  double own_is_nearer = 0.0;  ///< share of pairs of which the own caption has the larger cosine
};

/// `features` f32 [N, F] of pictures and the captions of each, at least one. Fewer than two pictures are an
/// Error(invalid_input).
PrefixAlignment prefix_alignment(Backend& backend, const PrefixModel& model, const WordVocabulary& vocabulary,
                                 const HostTensor& features, std::span<const std::vector<std::string>> captions);

nlohmann::ordered_json to_json(const PrefixAlignment& alignment);
/// A line for each distribution, and a bar for each bin.
std::string to_text(const PrefixAlignment& alignment);

}  // namespace capdiff
