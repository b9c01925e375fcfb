#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"
#include "capdiff/training/stages.h"

namespace capdiff {

/// The captioner that the recipe's [model] and [scheduler] describe, or the one in the model folder it starts from.
LadicConfig recipe_model(const Recipe& recipe);
inline LadicConfig recipe_model(const RunContext& run) {
  return recipe_model(run.recipe());
}

/// A file of weights in the run folder and the stage that makes it.
struct StageOutput {
  const char* stage;
  const char* file;
};
inline constexpr StageOutput kTextOutput{"language_model", "text.safetensors"};
inline constexpr StageOutput kImageEncoderOutput{"image_encoder", "image_encoder.safetensors"};
inline constexpr StageOutput kDiffuserOutput{"text_diffusion", "diffuser.safetensors"};

/// The weights to start from: those of [from], over them what earlier stages have made, and the seed for all others.
ParameterStore starting_parameters(const RunContext& run, const LadicConfig& config, std::span<const StageOutput> made);

/// The statistics of the latent space that the run has computed, or those of a folder it starts from.
SafetensorsFile recipe_statistics(const RunContext& run);

/// The run's vocab.txt, or that of a folder it starts from, whose size must be the model's.
Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config);

/// Pictures of the side that the model's image encoder takes.
Preprocessor recipe_preprocessor(const LadicConfig& config);

SpecialIds special_ids(const Vocabulary& vocabulary);

/// f32 [size], all `value`.
HostTensor constant(std::int64_t size, float value);

/// Writes a model folder that `capdiff -m` loads: configurations, vocabulary, statistics, and `weights` in bf16. It
/// appears whole. `run` is the run folder, with vocabulary and statistics.
void export_ladic(const std::filesystem::path& folder, const Recipe& recipe, const std::filesystem::path& run,
                  const std::map<std::string, HostTensor>& weights);

}  // namespace capdiff
