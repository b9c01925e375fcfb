#pragma once

#include <nlohmann/json_fwd.hpp>

#include "capdiff/captioners/generation_options.h"
#include "capdiff/captioners/profile.h"
#include "capdiff/diffusion/noise_schedule.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/model_folder.h"
#include "capdiff/models/clip.h"
#include "capdiff/models/prefix_denoiser.h"
#include "capdiff/models/word_space.h"

namespace capdiff {

/// How a table of T noise levels is walked in fewer steps.
enum class Respacing {
  stride,   ///< some of its levels, evenly spread, first and last among them
  rebuild,  ///< the formula again with T = steps, as released; truncated_linear then has other levels than in training
};

/// What a caption looks like in print.
enum class WordCase {
  lower,     ///< the words as they are
  sentence,  ///< the first letter large, as released
};

/// Everything that tells one Prefix-diffusion from another: the `config.json` of a model folder and its
/// `scheduler_config.json`.
struct PrefixConfig {
  Profile profile = Profile::paper;
  std::int64_t length = 24;  ///< L, positions of a caption
  /// The CLIP that the image feature is from. Its image tower is part of the model, under `visual`.
  ClipConfig clip;
  WordSpaceConfig text;
  PrefixDenoiserConfig denoiser;
  NoiseScheduleConfig schedule;
  Respacing respacing = Respacing::stride;
  WordCase word_case = WordCase::lower;
  /// Whether it was trained without pictures too: the feature 0 then stands for no picture, and guidance is possible.
  bool null_image = false;

  /// The profile's values of all fields that a profile decides, and default sizes.
  static PrefixConfig of(Profile profile);
  /// Reads `config.json`; what belongs to the scheduler is in `scheduler` where that file exists.
  static PrefixConfig from_json(const JsonReader& config, const JsonReader* scheduler);
  /// The same of a model folder.
  static PrefixConfig of_folder(const ModelFolder& folder);
  nlohmann::json to_json() const;
  nlohmann::json scheduler_to_json() const;
  /// How the profile samples: DDIM with η = 1 and hard clamping, 30 steps or, as released, 200.
  GenerationOptions generation() const;
};

}  // namespace capdiff
