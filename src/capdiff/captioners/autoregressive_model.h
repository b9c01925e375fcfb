#pragma once

#include <memory>
#include <vector>

#include "capdiff/captioners/autoregressive_config.h"
#include "capdiff/nn/parameters.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// The networks of an autoregressive captioner, assembled: image encoder and decoder, under BLIP's names
/// `visual_encoder` and `text_decoder`.
class AutoregressiveModel {
 public:
  AutoregressiveModel(Backend& backend, const ParameterStore& parameters, const AutoregressiveConfig& config);

  const AutoregressiveConfig& config() const { return config_; }
  const ImageEncoder& image_encoder() const { return *image_encoder_; }
  const CaptionDecoder& decoder() const { return decoder_; }

 private:
  AutoregressiveConfig config_;
  std::unique_ptr<ImageEncoder> image_encoder_;
  CaptionDecoder decoder_;
};

/// The tokens that every caption begins with: `begin` and the prompt. Throws `Error(invalid_model)` where the
/// vocabulary does not have the one, or where nothing can stand behind them.
std::vector<std::int64_t> prompt_tokens(const AutoregressiveConfig& config, const WordPieceTokenizer& tokenizer);

}  // namespace capdiff
