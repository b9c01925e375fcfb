#include "capdiff/training/model_export.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace

LadicConfig recipe_model(const RunContext& run) {
  const JsonReader model = run.recipe().table("model");
  if (!run.recipe().has("scheduler")) return LadicConfig::from_json(model, nullptr);
  const JsonReader scheduler = run.recipe().table("scheduler");
  return LadicConfig::from_json(model, &scheduler);
}

Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config) {
  Vocabulary vocabulary = Vocabulary::load(run.file("vocab.txt"));
  if (vocabulary.size() != config.text.bert.vocab_size)
    fail(ErrorCode::usage, "{}: {} pieces, but the recipe has model.text.vocab_size = {}",
         run.file("vocab.txt").string(), vocabulary.size(), config.text.bert.vocab_size);
  return vocabulary;
}

Preprocessor recipe_preprocessor(const LadicConfig& config) {
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(image_size(config.image_encoder));
  return preprocessor;
}

SpecialIds special_ids(const Vocabulary& vocabulary) {
  return {vocabulary.pad(), vocabulary.cls(), vocabulary.sep(), vocabulary.dot()};
}

HostTensor constant(std::int64_t size, float value) {
  HostTensor tensor(DType::f32, {size});
  std::ranges::fill(tensor.mutable_values<float>(), value);
  return tensor;
}

void export_model(const std::filesystem::path& folder, const RunContext& run, const LadicConfig& config,
                  const std::map<std::string, HostTensor>& weights) {
  std::filesystem::create_directories(folder);
  std::map<std::string, HostTensor> rounded;
  for (const auto& [name, value] : weights) rounded.emplace(name, value.to(DType::bf16));
  write_safetensors(folder / "model.safetensors", rounded,
                    {{"format", "pt"}, {"producer", "capdiff " CAPDIFF_VERSION}});
  const SafetensorsFile statistics = SafetensorsFile::open(run.file("statistics.safetensors"));
  write_safetensors(folder / "statistics.safetensors",
                    {{"mean", statistics.tensor("mean")}, {"std", statistics.tensor("std")}});
  recipe_vocabulary(run, config).save(folder / "vocab.txt");
  write_json(folder / "config.json", config.to_json());
  write_json(folder / "scheduler_config.json", config.scheduler_to_json());
  write_json(folder / "preprocessor_config.json", to_json(recipe_preprocessor(config)));
  write_json(folder / "generation_config.json",
             run.recipe().has("generation") ? run.recipe().table("generation").json() : nlohmann::json::object());
}

}  // namespace capdiff
