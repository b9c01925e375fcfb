#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// A CLIP whose image tower is a ViT, as OpenAI or Hugging Face publish it. Sizes are those of the tensors; what
/// tensors do not tell is given here, else in `config`, else as OpenAI has it: heads 64 wide, QuickGELU.
struct ClipImport {
  /// OpenAI's TorchScript archive or state dictionary, or Hugging Face's file, torch or safetensors, in float32,
  /// float16 or bfloat16; or a folder with model.safetensors or pytorch_model.bin, whose config.json, merges.txt and
  /// preprocessor_config.json are read as well.
  std::filesystem::path weights;
  /// bpe_simple_vocab_16e6.txt, plain or compressed, or merges.txt. Without one the folder knows pictures only.
  std::optional<std::filesystem::path> vocabulary;
  /// JSON: the config.json of Hugging Face or of a model folder of CLIP, or the arguments of OpenAI's class
  /// (`vision_heads`, `transformer_heads`, …), alone or under "config". Sizes must agree with the tensors.
  std::optional<std::filesystem::path> config;
  DType dtype = DType::f32;  ///< of the weights that are written: f32 or bf16
  std::optional<std::int64_t> image_heads, text_heads;
};

/// Writes a model folder of the type `clip`: tensors under OpenAI's names, `merges.txt`, `preprocessor_config.json`. A
/// broken or unfitting file is an `Error(invalid_model)` that names it, the tensor and what was expected, a ResNet an
/// `Error(unsupported)`; then nothing is written.
void import_clip(const ClipImport& from, const std::filesystem::path& folder);

}  // namespace capdiff
