#include "capdiff/training/model_export.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/training/checkpoint.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

Vocabulary run_vocabulary(const fs::path& run, const LadicConfig& config) {
  const fs::path path = run / "vocab.txt";
  Vocabulary vocabulary = Vocabulary::load(path);
  if (vocabulary.size() != config.text.bert.vocab_size)
    fail(ErrorCode::usage, "{}: {} pieces, but the recipe has model.text.vocab_size = {}", path.string(),
         vocabulary.size(), config.text.bert.vocab_size);
  return vocabulary;
}

/// The run folder that a folder of a checkpoint belongs to: RUN/checkpoints/ladic/step-N.
std::optional<fs::path> run_of_checkpoint(const fs::path& path) {
  if (!fs::exists(path / "state.json")) return std::nullopt;
  return fs::absolute(path).lexically_normal().parent_path().parent_path().parent_path();
}

}  // namespace

LadicConfig recipe_model(const Recipe& recipe) {
  const JsonReader model = recipe.table("model");
  if (!recipe.has("scheduler")) return LadicConfig::from_json(model, nullptr);
  const JsonReader scheduler = recipe.table("scheduler");
  return LadicConfig::from_json(model, &scheduler);
}

Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config) {
  return run_vocabulary(run.folder(), config);
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

void export_model(const fs::path& folder, const ModelParts& parts, const nlohmann::json& scores) {
  std::map<std::string, HostTensor> rounded;
  for (const auto& [name, value] : parts.weights) rounded.emplace(name, value.to(DType::bf16));
  AtomicFolder out(folder);
  write_safetensors(out.file("model.safetensors"), rounded,
                    {{"format", "pt"}, {"producer", "capdiff " CAPDIFF_VERSION}});
  const SafetensorsFile statistics = SafetensorsFile::open(parts.run / "statistics.safetensors");
  write_safetensors(out.file("statistics.safetensors"),
                    {{"mean", statistics.tensor("mean")}, {"std", statistics.tensor("std")}});
  run_vocabulary(parts.run, parts.config).save(out.file("vocab.txt"));
  write_json(out.file("config.json"), parts.config.to_json());
  write_json(out.file("scheduler_config.json"), parts.config.scheduler_to_json());
  write_json(out.file("preprocessor_config.json"), to_json(recipe_preprocessor(parts.config)));
  write_json(out.file("generation_config.json"),
             parts.recipe.has("generation") ? parts.recipe.table("generation").json() : nlohmann::json::object());
  if (!scores.is_null()) write_json(out.file("validation.json"), scores);
  out.commit();
  if (scores.is_null()) fs::remove(folder / "validation.json");  // of a model that was there before
}

void export_checkpoint(const fs::path& path, const fs::path& model, const ExportOptions& options) {
  const std::optional<fs::path> owner = run_of_checkpoint(path);
  const fs::path run = owner ? *owner : path;
  if (!fs::exists(run / "recipe.toml"))
    fail(ErrorCode::not_found, "{}: neither a run folder nor a checkpoint of one: there is no {}", path.string(),
         (run / "recipe.toml").string());
  const fs::path checkpoints = run / "checkpoints" / "ladic";
  std::optional<Checkpoint> checkpoint;
  if (owner || options.step) {
    checkpoint = read_checkpoint(owner ? path : checkpoint_path(checkpoints, *options.step));
  } else {
    checkpoint = latest_checkpoint(checkpoints);
  }
  if (!checkpoint) fail(ErrorCode::not_found, "{}: there is no whole checkpoint in it", checkpoints.string());

  const Recipe recipe = Recipe::load(run / "recipe.toml");
  const LadicConfig config = recipe_model(recipe);
  ModelParts parts{recipe, run, config, {}};
  const SafetensorsFile& weights = checkpoint->file("weights");
  const bool averaged = options.averaged && checkpoint->files.contains("ema");
  for (const auto& [name, entry] : weights.entries()) {
    const bool has_average = averaged && checkpoint->file("ema").entries().contains(name);
    parts.weights.emplace(name, has_average ? checkpoint->file("ema").tensor(name) : weights.tensor(name));
  }
  export_model(model, parts);
  spdlog::info("{}: {} of {}", model.string(), averaged ? "averaged weights" : "weights", checkpoint->path.string());
}

}  // namespace capdiff
