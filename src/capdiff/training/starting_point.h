#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "capdiff/nn/parameters.h"
#include "capdiff/training/recipe.h"

namespace capdiff {

/// The table [from] of a recipe: folders of weights that training starts from instead of making them. `model` is a
/// model folder and stands for all parts; `text`, `image_encoder`, `diffuser` and `clip` name a folder for one of them,
/// or leave it out with "". Parts that `convert --from bert`, `--from blip` and `--from clip` write are such folders
/// too, and the image encoder may be that of a CLIP which was trained here.
class StartingPoint {
 public:
  /// Nothing where the recipe has no such table. Throws `Error(usage)` for unknown keys.
  static StartingPoint of(const Recipe& recipe);

  /// The folder of "text", "image_encoder", "diffuser" or "clip".
  std::optional<std::filesystem::path> part(std::string_view name) const;
  /// The file of weights of that folder.
  std::optional<SafetensorsFile> weights(std::string_view name) const;
  /// The model folder that all of it comes from, with its configuration.
  const std::optional<std::filesystem::path>& model() const { return model_; }

  /// Adds the weights of all parts of a LaDiC. Layers of BERT are known by their number: where they stand in the
  /// folder's lower half and in this model's upper one, they change their names.
  void add_to(ParameterStore& parameters, std::int64_t encoder_layers) const;

 private:
  std::optional<std::filesystem::path> model_;
  std::map<std::string, std::filesystem::path, std::less<>> parts_;
};

/// Adds the tensors of a file, which must be finite, under the names that `renamed` makes of theirs. Those whose name
/// becomes empty are left out.
void add_tensors(ParameterStore& parameters, const SafetensorsFile& file,
                 const std::function<std::string(const std::string& name)>& renamed);

/// "visual_encoder.x" for a tensor of an image encoder, which a CLIP has as "visual.encoder.x"; empty for others.
std::string image_encoder_name(const std::string& name);

/// "space_encoder.encoder.layer.3.x" is ".x" of layer 3 of a BERT.
struct BertLayerName {
  std::int64_t layer = 0;
  std::string rest;
};

/// Nothing for names of other parameters.
std::optional<BertLayerName> bert_layer(const std::string& name);

/// A layer of BERT by the name it has in a model whose latent space lies behind `encoder_layers` layers; other names as
/// they are.
std::string split_name(const std::string& name, std::int64_t encoder_layers);

}  // namespace capdiff
