#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "capdiff/captioners/generation_options.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/model_folder.h"
#include "capdiff/models/caption_decoder.h"
#include "capdiff/models/image_encoders.h"

namespace capdiff {

/// Everything that tells one autoregressive captioner from another: the `config.json` of a model folder.
struct AutoregressiveConfig {
  ImageEncoderConfig image_encoder;
  CaptionDecoderConfig text;
  std::string begin = "[CLS]";  ///< the token that every caption begins with
  std::string prompt = {};      ///< words behind it, which are given and not learnt
  std::int64_t length = 40;     ///< L, positions of a caption that is learnt from, with begin, prompt and [SEP]
  std::int64_t max_words = 30;  ///< of a caption that is learnt from
  double label_smoothing = 0.1;

  /// Reads `config.json`.
  static AutoregressiveConfig from_json(const JsonReader& config);
  nlohmann::json to_json() const;
  /// Beam search with three beams, for captions that fit.
  GenerationOptions generation() const;
};

}  // namespace capdiff
