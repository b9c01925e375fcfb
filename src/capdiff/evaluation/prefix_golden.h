#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "capdiff/captioners/prefix_model.h"
#include "capdiff/evaluation/golden_tensors.h"

namespace capdiff {

/// A folder of Prefix-diffusion goldens, of the kind `prefix-diffusion`: a small model and what the reference computes
/// with it. All sizes and settings are read from the folder.
class PrefixGolden {
 public:
  explicit PrefixGolden(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const SafetensorsFile& tensors() const { return tensors_; }
  /// `golden.json`: sizes, settings, and numbers.
  const nlohmann::json& json() const { return golden_; }
  /// How far a tensor of `golden.safetensors` may be from the reference.
  Tolerance tolerance(const std::string& name) const;

  /// The folder's sizes with the schedule `kind` of `time_steps` levels.
  PrefixConfig config(ScheduleKind kind, std::int64_t time_steps) const;
  /// The same with the schedule that the losses are of.
  PrefixConfig training_config() const;
  ParameterStore parameters() const { return state_dict(folder_); }

 private:
  std::filesystem::path folder_;
  SafetensorsFile tensors_;
  nlohmann::json golden_;
};

}  // namespace capdiff
