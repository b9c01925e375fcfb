#pragma once

#include <filesystem>

#include "capdiff/diffusion/noise_schedule.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/models/ladic_denoiser.h"
#include "capdiff/models/split_bert.h"

namespace capdiff {

/// Which loss compares x̂0 with x0.
enum class LatentLoss {
  mean_squared,  ///< mean of (x̂0 − x0)² over all elements, as in the paper
  mean_l2,       ///< mean over positions of ‖x̂0 − x0‖₂, as released
};

/// Everything that tells one LaDiC from another: the `config.json` of a model folder and its `scheduler_config.json`.
struct LadicConfig {
  std::int64_t length = 24;  ///< L, positions of a caption with [CLS] and [SEP]
  ImageEncoderConfig image_encoder;
  SplitBertConfig text;
  LadicDenoiserConfig denoiser;
  NoiseScheduleConfig schedule;
  LatentLoss latent_loss = LatentLoss::mean_squared;
  double caption_loss_weight = 0.2;  ///< λ

  /// Reads `config.json`; the schedule is in `scheduler` where that file exists.
  static LadicConfig from_json(const JsonReader& config, const JsonReader* scheduler);
  nlohmann::json to_json() const;
  nlohmann::json scheduler_to_json() const;
};

}  // namespace capdiff
