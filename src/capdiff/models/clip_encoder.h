#pragma once

#include <span>
#include <string>

#include "capdiff/formats/model_folder.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/clip.h"
#include "capdiff/text/clip_bpe.h"

namespace capdiff {

/// A model folder of CLIP at work: pictures and texts become unit vectors of one space, whose products are cosines.
class ClipEncoder {
 public:
  /// `folder` has `config.json` of the model type `clip`, `model.safetensors`, `merges.txt` and, where the picture's
  /// preparation is not CLIP's own, `preprocessor_config.json`. Throws `Error(invalid_model)` where these do not fit
  /// each other. The backend must outlive the encoder.
  ClipEncoder(const ModelFolder& folder, Backend& backend);

  const ClipConfig& config() const { return config_; }

  /// One or more pictures, as one batch → f32 [n, E], rows of length 1.
  HostTensor images(std::span<const Image> images) const;

  struct Texts {
    HostTensor features;        ///< f32 [n, E], rows of length 1
    std::size_t truncated = 0;  ///< texts that were longer than the model's positions, of which the beginning counts
  };
  /// Any number of texts, in batches of similar lengths.
  Texts texts(std::span<const std::string> texts) const;

 private:
  Backend* backend_;
  ClipConfig config_;
  ParameterStore parameters_;
  ClipBpe bpe_;
  Preprocessor preprocessor_;
  ClipImageTower image_tower_;
  ClipTextTower text_tower_;
};

}  // namespace capdiff
