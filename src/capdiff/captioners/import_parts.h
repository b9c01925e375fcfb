#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// A BERT with its masked-language head, as Hugging Face publishes it.
struct BertImport {
  std::filesystem::path weights;                    ///< torch or safetensors, names with or without "bert."
  std::optional<std::filesystem::path> vocabulary;  ///< copied into the folder
  std::optional<std::filesystem::path> config;      ///< JSON with `num_attention_heads` (or `heads`)
  DType dtype = DType::f32;
  std::optional<std::int64_t> heads;           ///< published: 12
  std::optional<std::int64_t> encoder_layers;  ///< layers of the lower half; half of all by default
};

/// Writes a folder with BERT under the names that LaDiC has for its two halves: `model.safetensors` is the
/// `text.safetensors` of a training run, and `text` of `config.json` the recipe's table [model.text]. Throws as
/// `import_ladic`.
void import_bert(const BertImport& from, const std::filesystem::path& folder);

}  // namespace capdiff
