#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "capdiff/captioners/ladic_model.h"
#include "capdiff/evaluation/golden_tensors.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff {

/// A folder of LaDiC goldens, of the kind `ladic`: a small model, its vocabulary, and what the reference computes with
/// it in both profiles. All sizes, ids and settings are read from the folder.
class LadicGolden {
 public:
  explicit LadicGolden(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const SafetensorsFile& tensors() const { return tensors_; }
  /// `reference.json`: sizes, ids and settings.
  const nlohmann::json& reference() const { return reference_; }
  /// `golden.json`: texts, lists and tolerances.
  const nlohmann::json& json() const { return golden_; }
  HostTensor tensor(const std::string& name) const { return tensors_.tensor(name); }
  /// How far a tensor of floating-point numbers may be from the reference: the folder's recommendation, and for the few
  /// kinds of tensors without one what is known of their rounding. Throws `Error(invalid_input)` for others.
  Tolerance tolerance(const std::string& name) const;

  /// The profile's settings with the folder's sizes.
  LadicConfig config(Profile profile) const;
  /// w of classifier-free guidance.
  double guidance(Profile profile) const;
  SpecialIds ids() const;
  Preprocessor preprocessor() const;
  Vocabulary vocabulary() const { return Vocabulary::load(folder_ / "vocab.txt"); }
  ParameterStore parameters() const;
  LadicModel model(Backend& backend, Profile profile) const {
    return {backend, parameters(), config(profile), ids(), /*with_text_encoder=*/true};
  }
  /// The four captions of `text`.
  TokenBatch captions() const;

 private:
  const nlohmann::json& section(Profile profile) const;

  std::filesystem::path folder_;
  SafetensorsFile tensors_;
  nlohmann::json reference_, golden_;
};

}  // namespace capdiff
