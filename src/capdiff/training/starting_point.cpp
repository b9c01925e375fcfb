#include "capdiff/training/starting_point.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace capdiff {
namespace {

namespace fs = std::filesystem;

struct Part {
  std::string_view name;
  const char* file;  ///< where the part stands in a file of its own
  std::array<const char*, 3> prefixes;
};
constexpr std::array kParts{
    Part{"text", "text.safetensors", {"space_encoder.", "space_decoder.", "lm_head."}},
    Part{"image_encoder", "image_encoder.safetensors", {"visual_encoder.", nullptr, nullptr}},
    Part{"diffuser", "diffuser.safetensors", {"diffuser.", "time_layer_norm.", nullptr}},
    Part{"clip", "clip.safetensors", {nullptr, nullptr, nullptr}},
};

bool belongs(const Part& part, const std::string& name) {
  for (const char* prefix : part.prefixes)
    if (prefix != nullptr && name.starts_with(prefix)) return true;
  return false;
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

std::optional<SafetensorsFile> StartingPoint::weights(std::string_view name) const {
  const std::optional<fs::path> folder = part(name);
  if (!folder) return std::nullopt;
  const fs::path own = *folder / std::ranges::find(kParts, name, &Part::name)->file;
  return SafetensorsFile::open(fs::exists(own) ? own : *folder / "model.safetensors");
}

void StartingPoint::add_to(ParameterStore& parameters, std::int64_t encoder_layers) const {
  for (const Part& part : kParts) {
    if (part.prefixes.front() == nullptr) continue;  // of no LaDiC
    const std::optional<SafetensorsFile> file = weights(part.name);
    if (!file) continue;
    add_tensors(parameters, *file, [&](const std::string& stored) {
      const std::string image_encoder = image_encoder_name(stored);
      const std::string& name = image_encoder.empty() ? stored : image_encoder;
      return belongs(part, name) ? split_name(name, encoder_layers) : "";
    });
  }
}

void add_tensors(ParameterStore& parameters, const SafetensorsFile& file,
                 const std::function<std::string(const std::string&)>& renamed) {
  for (const std::string& name : file.names()) {
    std::string new_name = renamed(name);
    if (new_name.empty()) continue;
    HostTensor tensor = file.tensor(name);
    require_finite(tensor, name, file.name());
    parameters.add(std::move(new_name), std::move(tensor));
  }
}

std::string image_encoder_name(const std::string& name) {
  for (const std::string_view prefix : {"visual_encoder.", "visual.encoder."})
    if (name.starts_with(prefix)) return fmt::format("visual_encoder.{}", name.substr(prefix.size()));
  return "";
}

std::optional<BertLayerName> bert_layer(const std::string& name) {
  constexpr std::string_view kLayer = ".encoder.layer.";
  const std::size_t at = name.find(kLayer);
  if (!name.starts_with("space_") || at == std::string::npos) return std::nullopt;
  const char* const end = name.data() + name.size();
  BertLayerName parsed;
  const auto digits = std::from_chars(name.data() + at + kLayer.size(), end, parsed.layer);
  if (digits.ec != std::errc()) return std::nullopt;
  parsed.rest.assign(digits.ptr, end);
  return parsed;
}

std::string split_name(const std::string& name, std::int64_t encoder_layers) {
  const std::optional<BertLayerName> parsed = bert_layer(name);
  if (!parsed) return name;
  const char* half = parsed->layer < encoder_layers ? "space_encoder" : "space_decoder";
  return fmt::format("{}.encoder.layer.{}{}", half, parsed->layer, parsed->rest);
}

}  // namespace capdiff
