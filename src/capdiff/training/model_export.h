#pragma once

#include <filesystem>
#include <span>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"
#include "capdiff/training/stages.h"

namespace capdiff {

/// The captioner that the recipe's [model] and [scheduler] describe, or the one in the model folder it starts from.
LadicConfig recipe_model(const RunContext& run);

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

/// A file of the run folder or, where it is not there, of the first folder of [from] that has it.
std::filesystem::path input_file(const RunContext& run, std::string_view name);

/// The run's vocab.txt, or that of a folder it starts from, whose size must be the model's.
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
