#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// BLIP as published: a checkpoint of Salesforce's code (`visual_encoder.…` and `text_decoder.…`, on top or under
/// "model"), or weights of the Hugging Face hub (`vision_model.…` and `text_decoder.…`) or a folder with them. Sizes
/// are those of the tensors; what tensors do not tell is given here, else in `config`, else as published.
struct BlipImport {
  std::filesystem::path weights;
  /// vocab.txt of BERT, to which BLIP adds [DEC] and [ENC]; otherwise that of the folder.
  std::optional<std::filesystem::path> vocabulary = {};
  /// JSON with sections `image_encoder` (or `vit`, `vision_config`) and `text` (or `text_config`), otherwise that of
  /// the folder. Of them heads, eps and the token that begins captions are used; sizes must agree with the tensors.
  std::optional<std::filesystem::path> config = {};
  DType dtype = DType::f32;                                       ///< of the weights that are written
  std::optional<std::int64_t> image_heads = {}, text_heads = {};  ///< published: 12
  std::optional<std::int64_t> image_size = {};                    ///< pixels; otherwise as in the weights
};

/// Writes a model folder that captions, with the prompt "a picture of". Where the weights have no text decoder, or
/// there is no vocabulary, it is a folder with the image encoder alone: the `image_encoder.safetensors` of a training
/// run, and a `config.json` whose `image_encoder` is the recipe's table [model.image_encoder]. Pictures of another size
/// than the weights are for make the table of positions be interpolated. Throws as `import_ladic`.
void import_blip(const BlipImport& from, const std::filesystem::path& folder);

}  // namespace capdiff
