#pragma once

#include <string>
#include <vector>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/data/photo_source.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// The pictures of some splits of the recipe's dataset; no splits means all.
CaptionDataset recipe_dataset(const DataOptions& data, const std::vector<std::string>& splits);

/// The pictures that are trained on: the recipe's share of the training splits. Throws `Error(usage)` where none is.
CaptionDataset training_dataset(const DataOptions& data);

/// A dataset's first `count` pictures that have captions.
CaptionDataset first_captioned(CaptionDataset dataset, std::int64_t count);

/// Where the pictures of a dataset are: in data.images, unless the dataset says it itself.
std::vector<PhotoSource> recipe_photos(const DataOptions& data, const CaptionDataset& dataset);

/// Every caption that may be learnt from: those of the training splits, and text without photos where there is some.
std::vector<std::string> training_captions(const DataOptions& data);

/// Those captions as tokens, of the length that the model has; an `Error(invalid_input)` if nothing is left of them.
EncodedCaptions encode_training_captions(const DataOptions& data, const WordPieceTokenizer& tokenizer,
                                         const LadicConfig& config);

}  // namespace capdiff
