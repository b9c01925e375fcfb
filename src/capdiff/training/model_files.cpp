#include "capdiff/training/model_files.h"

#include <nlohmann/json.hpp>

#include "capdiff/formats/safetensors.h"
#include "capdiff/training/starting_point.h"

namespace capdiff {

namespace fs = std::filesystem;

fs::path input_file(const Recipe& recipe, const fs::path& run, std::string_view name) {
  if (fs::exists(run / name)) return run / name;
  const StartingPoint from = StartingPoint::of(recipe);
  for (const char* part : {"text", "diffuser", "image_encoder"})
    if (const auto folder = from.part(part); folder && fs::exists(*folder / name)) return *folder / name;
  return run / name;
}

nlohmann::json generation_settings(const Recipe& recipe) {
  if (recipe.has("generation")) return recipe.table("generation").json();
  const std::optional<fs::path> model = StartingPoint::of(recipe).model();
  const fs::path path = model ? *model / "generation_config.json" : fs::path();
  return model && fs::exists(path) ? JsonReader::open(path, ErrorCode::invalid_model).json() : nlohmann::json::object();
}

void write_weights(const AtomicFolder& folder, const std::map<std::string, HostTensor>& weights) {
  std::map<std::string, HostTensor> rounded;
  for (const auto& [name, value] : weights) rounded.emplace(name, value.to(DType::bf16));
  write_safetensors(folder.file("model.safetensors"), rounded,
                    {{"format", "pt"}, {"producer", "capdiff " CAPDIFF_VERSION}});
}

}  // namespace capdiff
