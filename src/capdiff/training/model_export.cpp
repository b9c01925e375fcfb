#include "capdiff/training/model_export.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"

namespace capdiff {
namespace {

constexpr const char* kSchedulerFile = "scheduler_config.json";

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

}  // namespace

LadicConfig recipe_model(const RunContext& run) {
  if (!run.recipe().has("model") && run.from().model()) {
    const std::filesystem::path& folder = *run.from().model();
    const JsonReader model = JsonReader::open(folder / "config.json", ErrorCode::invalid_model);
    if (!std::filesystem::exists(folder / kSchedulerFile)) return LadicConfig::from_json(model, nullptr);
    const JsonReader scheduler = JsonReader::open(folder / kSchedulerFile, ErrorCode::invalid_model);
    return LadicConfig::from_json(model, &scheduler);
  }
  const JsonReader model = run.recipe().table("model");
  if (!run.recipe().has("scheduler")) return LadicConfig::from_json(model, nullptr);
  const JsonReader scheduler = run.recipe().table("scheduler");
  return LadicConfig::from_json(model, &scheduler);
}

std::filesystem::path input_file(const RunContext& run, std::string_view name) {
  const std::filesystem::path made = run.file(name);
  if (std::filesystem::exists(made)) return made;
  const StartingPoint from = run.from();
  for (const char* part : {"text", "diffuser", "image_encoder"})
    if (const auto folder = from.part(part); folder && std::filesystem::exists(*folder / name)) return *folder / name;
  return made;
}

ParameterStore starting_parameters(const RunContext& run, const LadicConfig& config,
                                   std::span<const StageOutput> made) {
  ParameterStore parameters;
  run.from().add_to(parameters, config.text.encoder_layers);
  for (const StageOutput& output : made) {
    const std::filesystem::path path = run.file(output.file);
    if (!run.recipe().has(output.stage) && !std::filesystem::exists(path)) continue;
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const std::string& name : file.names()) {
      HostTensor tensor = file.tensor(name);
      require_finite(tensor, name, file.name());
      parameters.add(name, std::move(tensor));
    }
  }
  parameters.initialise_missing(run.seed());
  return parameters;
}

Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config) {
  Vocabulary vocabulary = Vocabulary::load(input_file(run, "vocab.txt"));
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
  const SafetensorsFile statistics = SafetensorsFile::open(input_file(run, "statistics.safetensors"));
  write_safetensors(folder / "statistics.safetensors",
                    {{"mean", statistics.tensor("mean")}, {"std", statistics.tensor("std")}});
  recipe_vocabulary(run, config).save(folder / "vocab.txt");
  write_json(folder / "config.json", config.to_json());
  write_json(folder / kSchedulerFile, config.scheduler_to_json());
  write_json(folder / "preprocessor_config.json", to_json(recipe_preprocessor(config)));
  write_json(folder / "generation_config.json",
             run.recipe().has("generation") ? run.recipe().table("generation").json() : nlohmann::json::object());
}

}  // namespace capdiff
