#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "capdiff/captioners/prefix_config.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/nn/parameters.h"
#include "capdiff/text/word_vocabulary.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// The file of the run folder that the stage [word_vocabulary] makes.
inline constexpr const char* kWordsFile = "words.txt";

/// What a recipe and its run say of the Prefix-diffusion that they train.
struct PrefixParts {
  /// That of the run, or of the model folder that it starts from.
  WordVocabulary vocabulary;
  /// [model] and [scheduler], or those of the model folder that the run starts from; with the sizes of the CLIP that
  /// [from] names, and that of the vocabulary.
  PrefixConfig config;
  /// How that CLIP wants to see pictures.
  Preprocessor preprocessor;
};

PrefixParts prefix_parts(const Recipe& recipe, const std::filesystem::path& run);

/// Throws `Error(usage)` for what can be seen to be wrong with [from], [model] and [scheduler] before any stage runs:
/// neither the vocabulary nor the folder of CLIP has to be there yet.
void check_prefix_recipe(const Recipe& recipe);

/// The weights to start from: all of the folder `model` of [from], the image tower of its `clip`, and in the lower
/// layers of the denoiser those of its `text`, a folder of BERT; the seed for all others. Throws `Error(usage)` where
/// the layers of that BERT have other sizes than the denoiser's.
ParameterStore prefix_parameters(const Recipe& recipe, const PrefixConfig& config);

/// Throws `Error(invalid_model)` where a model has drawn a part of its image tower at random, because no file has it.
void require_image_tower(const ParameterStore& parameters);

/// Captions as words of the vocabulary, which must outlive them, padded to `length`.
EncodedCaptions word_captions(const WordVocabulary& vocabulary, std::int64_t length);

/// Writes a model folder that `capdiff -m` loads, with the image tower in it and `weights` in bf16. It appears whole.
void export_prefix(const std::filesystem::path& folder, const Recipe& recipe, const std::filesystem::path& run,
                   const std::map<std::string, HostTensor>& weights);

}  // namespace capdiff
