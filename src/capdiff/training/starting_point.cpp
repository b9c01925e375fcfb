#include "capdiff/training/starting_point.h"

#include <array>
#include <charconv>

namespace capdiff {
namespace {

namespace fs = std::filesystem;

struct Part {
  const char* name;
  const char* file;  ///< where the part stands in a file of its own
  std::array<const char*, 3> prefixes;
};
constexpr std::array kParts{
    Part{"text", "text.safetensors", {"space_encoder.", "space_decoder.", "lm_head."}},
    Part{"image_encoder", "image_encoder.safetensors", {"visual_encoder.", nullptr, nullptr}},
    Part{"diffuser", "diffuser.safetensors", {"diffuser.", "time_layer_norm.", nullptr}},
};

bool belongs(const Part& part, const std::string& name) {
  for (const char* prefix : part.prefixes)
    if (prefix != nullptr && name.starts_with(prefix)) return true;
  return false;
}

SafetensorsFile weights_of(const Part& part, const fs::path& folder) {
  const fs::path own = folder / part.file;
  return SafetensorsFile::open(fs::exists(own) ? own : folder / "model.safetensors");
}

}  // namespace

StartingPoint StartingPoint::of(const Recipe& recipe) {
  StartingPoint from;
  if (!recipe.has("from")) return from;
  const JsonReader table = recipe.table("from");
  if (table.has("model")) from.model_ = table.get_string("model");
  for (const Part& part : kParts) {
    const std::string folder = table.get_string(part.name, from.model_ ? from.model_->string() : "");
    if (!folder.empty()) from.parts_.emplace(part.name, folder);
  }
  table.reject_unknown_keys();
  return from;
}

std::optional<fs::path> StartingPoint::part(std::string_view name) const {
  const auto found = parts_.find(name);
  return found == parts_.end() ? std::nullopt : std::optional(found->second);
}

void StartingPoint::add_to(ParameterStore& parameters, std::int64_t encoder_layers) const {
  for (const Part& part : kParts) {
    const std::optional<fs::path> folder = this->part(part.name);
    if (!folder) continue;
    const SafetensorsFile file = weights_of(part, *folder);
    for (const std::string& name : file.names()) {
      if (!belongs(part, name)) continue;
      HostTensor tensor = file.tensor(name);
      require_finite(tensor, name, file.name());
      parameters.add(split_name(name, encoder_layers), std::move(tensor));
    }
  }
}

std::string split_name(const std::string& name, std::int64_t encoder_layers) {
  constexpr std::string_view kLayer = ".encoder.layer.";
  const std::size_t at = name.find(kLayer);
  if (!name.starts_with("space_") || at == std::string::npos) return name;
  std::int64_t layer = 0;
  const char* const digits = name.data() + at + kLayer.size();
  if (std::from_chars(digits, name.data() + name.size(), layer).ec != std::errc()) return name;
  return (layer < encoder_layers ? "space_encoder" : "space_decoder") + name.substr(at);
}

}  // namespace capdiff
