#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "capdiff/evaluation/golden_tensors.h"
#include "capdiff/models/caption_decoder.h"

namespace capdiff {

/// A folder of goldens of BLIP's text decoder, of the kind `autoregressive`: a small one, given image tokens, and what
/// the reference computes and writes with it. All sizes and settings are read from the folder.
class AutoregressiveGolden {
 public:
  explicit AutoregressiveGolden(const std::filesystem::path& folder);

  const SafetensorsFile& tensors() const { return tensors_; }
  /// `golden.json`: sizes, settings, and texts.
  const nlohmann::json& json() const { return golden_; }
  /// How far a tensor of `golden.safetensors` may be from the reference.
  Tolerance tolerance(const std::string& name) const;

  CaptionDecoderConfig config() const;
  ParameterStore parameters() const { return state_dict(folder_); }
  /// The tokens that every text begins with.
  std::vector<std::int64_t> prompt() const { return golden_.at("prompt"); }

 private:
  std::filesystem::path folder_;
  SafetensorsFile tensors_;
  nlohmann::json golden_;
};

/// Of the reference's loss.
inline constexpr float kGoldenSmoothing = 0.1f;

/// The reference's `labels`, with −1 where it has −100.
HostTensor golden_targets(const HostTensor& labels);

}  // namespace capdiff
