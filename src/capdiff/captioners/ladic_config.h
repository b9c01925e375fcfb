#pragma once

#include <filesystem>

#include "capdiff/captioners/generation_options.h"
#include "capdiff/captioners/profile.h"
#include "capdiff/diffusion/noise_schedule.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/model_folder.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/models/ladic_denoiser.h"
#include "capdiff/models/split_bert.h"

namespace capdiff {

/// Which loss compares x̂0 with x0.
enum class LatentLoss {
  mean_squared,  ///< mean of (x̂0 − x0)² over all elements, as in the paper
  mean_l2,       ///< mean over positions of ‖x̂0 − x0‖₂, as released
};

/// What the LM head learns to say where the caption has [CLS], [SEP] and [PAD].
enum class SpecialTargets {
  tokens,  ///< those tokens
  dots,    ///< ".", as released
};

/// How ids become a caption.
enum class CaptionText {
  words,        ///< without [CLS], [SEP] and [PAD]
  without_dots  ///< without the "." that fill empty positions, and with one at the end, as released
};

/// What `--steps N` means.
enum class TimeGrid {
  even,    ///< N calls, evenly spread: `ddim_times`
  stride,  ///< a stride of ⌈(T − 1) / N⌉, as released: `stride_times`
};

/// Reads the object `text` of a configuration, LaDiC's or that of a folder of BERT alone; what is absent is as in
/// `config`.
SplitBertConfig split_bert_config(const JsonReader& json, SplitBertConfig config);

/// Everything that tells one LaDiC from another: the `config.json` of a model folder and its `scheduler_config.json`.
struct LadicConfig {
  Profile profile = Profile::paper;
  std::int64_t length = 24;     ///< L, positions of a caption with [CLS] and [SEP]
  std::int64_t max_words = 30;  ///< of a caption that is learnt from; the paragraphs have 50
  ImageEncoderConfig image_encoder;
  SplitBertConfig text;
  LadicDenoiserConfig denoiser;
  NoiseScheduleConfig schedule;
  LatentLoss latent_loss = LatentLoss::mean_squared;
  double caption_loss_weight = 0.2;  ///< λ
  SpecialTargets special_targets = SpecialTargets::tokens;
  CaptionText caption_text = CaptionText::words;
  TimeGrid time_grid = TimeGrid::even;
  std::int64_t time_shift = 0;  ///< of the time that the network is told while sampling

  /// The profile's values of all fields that a profile decides, and default sizes.
  static LadicConfig of(Profile profile);
  /// Reads `config.json`; what belongs to the scheduler is in `scheduler` where that file exists.
  static LadicConfig from_json(const JsonReader& config, const JsonReader* scheduler);
  /// The same of a model folder.
  static LadicConfig of_folder(const ModelFolder& folder);
  nlohmann::json to_json() const;
  nlohmann::json scheduler_to_json() const;
  /// How the profile samples: DDIM, or renoising as released; Back&Refine with the settings of either.
  GenerationOptions generation() const;
};

}  // namespace capdiff
