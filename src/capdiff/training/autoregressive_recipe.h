#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "capdiff/captioners/autoregressive_model.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// The captioner that the recipe's [model] describes, or the one in the model folder it starts from. Throws
/// `Error(usage)` where there is neither, or no image encoder in [from].
AutoregressiveConfig autoregressive_config(const Recipe& recipe);

/// The run's vocab.txt, or that of a folder it starts from, whose size must be the model's.
Vocabulary autoregressive_vocabulary(const Recipe& recipe, const std::filesystem::path& run,
                                     const AutoregressiveConfig& config);

/// The weights to start from: the decoder of the folder `model` of [from], the image encoder of its `image_encoder`,
/// and the seed for all others.
ParameterStore autoregressive_parameters(const Recipe& recipe);

/// Pictures of the side that the model's image encoder takes.
Preprocessor autoregressive_preprocessor(const AutoregressiveConfig& config);

/// Captions as the decoder learns them: begin, prompt, the pieces of the cleaned caption without full stops, and [SEP];
/// padded or cut to the model's length. The tokeniser must outlive them.
EncodedCaptions prompted_captions(const WordPieceTokenizer& tokenizer, const AutoregressiveConfig& config);

/// Writes a model folder that `capdiff -m` loads, with `weights` in bf16. It appears whole.
void export_autoregressive(const std::filesystem::path& folder, const Recipe& recipe, const std::filesystem::path& run,
                           const std::map<std::string, HostTensor>& weights);

}  // namespace capdiff
