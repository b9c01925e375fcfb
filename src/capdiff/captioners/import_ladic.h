#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// LaDiC's published checkpoint and what belongs to it. Sizes are those of the tensors; what tensors do not tell is
/// given here, else in `config`, else as published.
struct LadicImport {
  std::filesystem::path weights;  ///< flat, names with or without "module."; torch or safetensors
  std::filesystem::path mean;     ///< a tensor [D] alone, or named "mean"
  std::filesystem::path std;      ///< a tensor [D] alone, or named "std"
  std::filesystem::path vocabulary;
  /// JSON with sections such as those of a model folder's config.json: `image_encoder` (or `vit`), `text`, `diffuser`.
  /// Of it `heads`, `eps` (or `ln_eps`), `length` and `text.decoder_layers` are used; sizes must agree with the
  /// tensors, and the rest is left alone.
  std::optional<std::filesystem::path> config;
  Profile profile = Profile::released;
  DType dtype = DType::f32;  ///< of the weights that are written: f32 or bf16
  std::optional<std::int64_t> image_heads, text_heads, diffuser_heads;  ///< published: 12, 12, 16
  std::optional<std::int64_t> length;                                   ///< published: 24
};

/// Writes a model folder that captions. The names of tensors stay; what captioning, filling in and training never read
/// is left out. A broken or unfitting file is an `Error(invalid_model)` that names it, the tensor and what was
/// expected, and then nothing is written.
void import_ladic(const LadicImport& from, const std::filesystem::path& folder);

}  // namespace capdiff
