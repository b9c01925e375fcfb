#pragma once

#include <string>
#include <vector>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// Every caption that may be learnt from: those of the training splits, and text without photos where there is some.
std::vector<std::string> training_captions(const DataOptions& data);

/// Those captions as tokens, of the length that the model has; an `Error(invalid_input)` if nothing is left of them.
EncodedCaptions encode_training_captions(const DataOptions& data, const WordPieceTokenizer& tokenizer,
                                         const LadicConfig& config);

}  // namespace capdiff
