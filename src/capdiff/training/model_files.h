#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "capdiff/base/files.h"
#include "capdiff/tensor/host_tensor.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// A file of the run folder or, where it is not there, of the first folder of [from] that has it.
std::filesystem::path input_file(const Recipe& recipe, const std::filesystem::path& run, std::string_view name);

/// The recipe's [generation], or the settings of the model it starts from.
nlohmann::json generation_settings(const Recipe& recipe);

/// Writes `model.safetensors` of a model folder: the weights in bf16.
void write_weights(const AtomicFolder& folder, const std::map<std::string, HostTensor>& weights);

}  // namespace capdiff
