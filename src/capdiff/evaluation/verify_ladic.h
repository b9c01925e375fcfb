#pragma once

#include <span>
#include <string>
#include <vector>

#include "capdiff/evaluation/ladic_golden.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// What all parts of the verification of a LaDiC folder share.
struct LadicVerification {
  LadicVerification(const std::filesystem::path& folder, Backend& verified, GoldenReport& report);

  const LadicModel& model(Profile profile) const { return profile == Profile::released ? released : paper; }
  /// Ids of a tensor i64 [B, L], row by row.
  static std::vector<std::vector<std::int64_t>> rows(const HostTensor& ids);
  /// Tokens of every row.
  std::vector<std::vector<std::string>> tokens(const std::vector<std::vector<std::int64_t>>& ids) const;
  /// The goldens' pictures in order, normalised: [count, 3, S, S] of those from `first` on.
  Value pixels(std::size_t first, std::size_t count) const;
  Condition condition(const LadicModel& of, const Value& of_pixels) const {
    return of.denoiser().condition(of.image_encoder().encode(of_pixels));
  }

  LadicGolden golden;
  Backend& backend;
  GoldenTensors tensors;
  Vocabulary vocabulary;
  WordPieceTokenizer tokenizer;
  LadicModel paper, released;
  std::vector<std::string> pictures;  ///< `image`, `image_b`, …
};

/// Tokeniser, captions from ids, sentence BLEU, minimum Bayes risk, learning rate: what golden.json states of them.
void verify_ladic_strings(LadicVerification& verification);
/// All runs of the samplers, in both profiles.
void verify_ladic_sampling(LadicVerification& verification);

}  // namespace capdiff
