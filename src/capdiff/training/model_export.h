#pragma once

#include <filesystem>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"
#include "capdiff/training/stages.h"

namespace capdiff {

/// The captioner that the recipe's [model] and [scheduler] describe.
LadicConfig recipe_model(const RunContext& run);

/// The run's vocab.txt, whose size must be the model's.
Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config);

/// Pictures of the side that the model's image encoder takes.
Preprocessor recipe_preprocessor(const LadicConfig& config);

SpecialIds special_ids(const Vocabulary& vocabulary);

/// f32 [size], all `value`.
HostTensor constant(std::int64_t size, float value);

/// Writes a model folder that `capdiff -m` loads: configurations, vocabulary, statistics, and the weights in bf16.
void export_model(const std::filesystem::path& folder, const RunContext& run, const LadicConfig& config,
                  const std::map<std::string, HostTensor>& weights);

}  // namespace capdiff
