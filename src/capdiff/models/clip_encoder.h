#pragma once

#include <memory>
#include <span>
#include <string>
#include <variant>

#include "capdiff/formats/model_folder.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/clip.h"
#include "capdiff/text/clip_bpe.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// A model folder of CLIP at work: pictures and texts become unit vectors of one space, whose products are cosines.
class ClipEncoder {
 public:
  /// `folder` has `config.json` of the model type `clip`, `model.safetensors`, `merges.txt` or, for WordPieces,
  /// `vocab.txt`, and, where the picture's preparation is not CLIP's own, `preprocessor_config.json`. Throws
  /// `Error(invalid_model)` where these do not fit each other. The backend must outlive the encoder.
  ClipEncoder(const ModelFolder& folder, Backend& backend);

  const ClipConfig& config() const { return config_; }

  /// One or more pictures, as one batch → f32 [n, E], rows of length 1.
  HostTensor images(std::span<const Image> images) const;

  struct Texts {
    HostTensor features;        ///< f32 [n, E], rows of length 1
    std::size_t truncated = 0;  ///< texts that were longer than the model's positions, of which the beginning counts
  };
  /// Any number of texts, in batches of similar lengths. Those of WordPieces are cleaned first, as captions are before
  /// they are learnt from.
  Texts texts(std::span<const std::string> texts) const;

 private:
  EncodedText encode(const std::string& text) const;
  /// Where each text of a batch ends; ids i64 [B, L].
  std::vector<std::int64_t> ends_of(const HostTensor& ids, std::span<const std::size_t> lengths) const;

  Backend* backend_;
  ClipConfig config_;
  ParameterStore parameters_;
  std::variant<ClipBpe, WordPieceTokenizer> tokenizer_;
  Preprocessor preprocessor_;
  std::unique_ptr<ImageTower> image_tower_;
  ClipTextTower text_tower_;
};

}  // namespace capdiff
