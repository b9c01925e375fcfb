#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>

#include "capdiff/evaluation/verify.h"

/// The verifications behind `verify`, one for every kind of folder.
namespace capdiff {

/// Of a vocabulary that goldens give the checksum of.
inline constexpr std::size_t kMaxVocabularyBytes = std::size_t{16} << 20;

GoldenReport verify_ladic(const std::filesystem::path& folder, Backend& backend, GradientCheck* gradients);
GoldenReport verify_prefix(const std::filesystem::path& folder, Backend& backend, GradientCheck* gradients);
GoldenReport verify_autoregressive(const std::filesystem::path& folder, Backend& backend, GradientCheck* gradients);
/// Prefix-diffusion's measures of diversity and its finish of sentences, `diversity.json` of such a folder.
void verify_diversity(const std::filesystem::path& file, GoldenReport& report);
GoldenReport verify_dpm_solver(const std::filesystem::path& folder, Backend& backend);
GoldenReport verify_clip(const std::filesystem::path& folder, Backend& backend);

/// Files of the tokeniser's goldens; a folder may have some of them.
inline constexpr std::array<std::string_view, 3> kTokenizerGoldens{"wordpiece.json", "cleaning.json", "decode.json"};
bool has_tokenizer_goldens(const std::filesystem::path& folder);
GoldenReport verify_tokenizer(const std::filesystem::path& folder,
                              const std::optional<std::filesystem::path>& vocabulary);

/// Lists torch checkpoints, good and damaged, and what a reader has to do with them.
inline constexpr std::string_view kTorchManifest = "manifest.json";
GoldenReport verify_torch_archives(const std::filesystem::path& folder);

/// The goldens of CLIP's byte-pair tokeniser.
inline constexpr std::string_view kClipBpeGoldens = "clip_bpe.json";
GoldenReport verify_clip_bpe(const std::filesystem::path& folder,
                             const std::optional<std::filesystem::path>& vocabulary);

/// Strings and, in `ptb_stream.json`, whole documents, cut by the Penn Treebank tokeniser.
inline constexpr std::string_view kPtbGoldens = "ptb.json";
GoldenReport verify_ptb(const std::filesystem::path& folder);

/// Scores of captions: `X_expected.json` of the COCO files `X_annotations.json` and `X_results.json`, and beside them
/// `cider_external_df.json`, `edge_cases.json`, `sentence_bleu_mbr.json` and `published.json` where they are there.
bool has_metric_goldens(const std::filesystem::path& folder);
GoldenReport verify_metrics(const std::filesystem::path& folder);

}  // namespace capdiff
