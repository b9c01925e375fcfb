#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "capdiff/nn/parameters.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// The table [from] of a recipe: folders of weights that training starts from instead of making them. `model` is a
/// model folder and stands for all parts; `text`, `image_encoder` and `diffuser` name a folder for one of them, or
/// leave it out with "". Parts that `convert --from bert` and `--from blip` write are such folders too.
class StartingPoint {
 public:
  /// Nothing where the recipe has no such table. Throws `Error(usage)` for unknown keys.
  static StartingPoint of(const Recipe& recipe);

  /// The folder of "text", "image_encoder" or "diffuser".
  std::optional<std::filesystem::path> part(std::string_view name) const;
  /// The model folder that all of it comes from, with its configuration.
  const std::optional<std::filesystem::path>& model() const { return model_; }

  /// Adds the weights of all parts. Layers of BERT are known by their number: where they stand in the folder's lower
  /// half and in this model's upper one, they change their names.
  void add_to(ParameterStore& parameters, std::int64_t encoder_layers) const;

 private:
  std::optional<std::filesystem::path> model_;
  std::map<std::string, std::filesystem::path, std::less<>> parts_;
};

/// A layer of BERT by the name it has in a model whose latent space lies behind `encoder_layers` layers; other names as
/// they are.
std::string split_name(const std::string& name, std::int64_t encoder_layers);

}  // namespace capdiff
