#pragma once

#include <string>
#include <vector>

#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// Every caption that may be learnt from: those of the training splits, and text without photos where there is some.
std::vector<std::string> training_captions(const DataOptions& data);

/// The captions as tokens; an `Error(invalid_input)` if nothing is left of them.
EncodedCaptions encode_all(const WordPieceTokenizer& tokenizer, const std::vector<std::string>& captions,
                           std::int64_t length);

}  // namespace capdiff
