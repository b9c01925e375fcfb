#include "capdiff/training/model_export.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/training/checkpoint.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSchedulerFile = "scheduler_config.json";

void write_json(const std::filesystem::path& path, const nlohmann::json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

/// A file of the run folder or, where it is not there, of the first folder of [from] that has it.
fs::path input_file(const Recipe& recipe, const fs::path& run, std::string_view name) {
  if (fs::exists(run / name)) return run / name;
  const StartingPoint from = StartingPoint::of(recipe);
  for (const char* part : {"text", "diffuser", "image_encoder"})
    if (const auto folder = from.part(part); folder && fs::exists(*folder / name)) return *folder / name;
  return run / name;
}

Vocabulary run_vocabulary(const Recipe& recipe, const fs::path& run, const LadicConfig& config) {
  const fs::path path = input_file(recipe, run, "vocab.txt");
  Vocabulary vocabulary = Vocabulary::load(path);
  if (vocabulary.size() != config.text.bert.vocab_size)
    fail(ErrorCode::usage, "{}: {} pieces, but the recipe has model.text.vocab_size = {}", path.string(),
         vocabulary.size(), config.text.bert.vocab_size);
  return vocabulary;
}

/// The recipe's [generation], or the settings of the model it starts from.
nlohmann::json generation_settings(const Recipe& recipe) {
  if (recipe.has("generation")) return recipe.table("generation").json();
  const std::optional<fs::path> model = StartingPoint::of(recipe).model();
  const fs::path path = model ? *model / "generation_config.json" : fs::path();
  return model && fs::exists(path) ? JsonReader::open(path, ErrorCode::invalid_model).json() : nlohmann::json::object();
}

/// The run folder that a folder of a checkpoint belongs to: RUN/checkpoints/ladic/step-N.
std::optional<fs::path> run_of_checkpoint(const fs::path& path) {
  if (!fs::exists(path / "state.json")) return std::nullopt;
  return fs::absolute(path).lexically_normal().parent_path().parent_path().parent_path();
}

}  // namespace

LadicConfig recipe_model(const Recipe& recipe) {
  const std::optional<fs::path> folder = StartingPoint::of(recipe).model();
  if (!recipe.has("model") && folder) {
    const JsonReader model = JsonReader::open(*folder / "config.json", ErrorCode::invalid_model);
    if (!fs::exists(*folder / kSchedulerFile)) return LadicConfig::from_json(model, nullptr);
    const JsonReader scheduler = JsonReader::open(*folder / kSchedulerFile, ErrorCode::invalid_model);
    return LadicConfig::from_json(model, &scheduler);
  }
  const JsonReader model = recipe.table("model");
  if (!recipe.has("scheduler")) return LadicConfig::from_json(model, nullptr);
  const JsonReader scheduler = recipe.table("scheduler");
  return LadicConfig::from_json(model, &scheduler);
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

SafetensorsFile recipe_statistics(const RunContext& run) {
  return SafetensorsFile::open(input_file(run.recipe(), run.folder(), "statistics.safetensors"));
}

Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config) {
  return run_vocabulary(run.recipe(), run.folder(), config);
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
  const SafetensorsFile statistics =
      SafetensorsFile::open(input_file(parts.recipe, parts.run, "statistics.safetensors"));
  write_safetensors(out.file("statistics.safetensors"),
                    {{"mean", statistics.tensor("mean")}, {"std", statistics.tensor("std")}});
  run_vocabulary(parts.recipe, parts.run, parts.config).save(out.file("vocab.txt"));
  write_json(out.file("config.json"), parts.config.to_json());
  write_json(out.file(kSchedulerFile), parts.config.scheduler_to_json());
  write_json(out.file("preprocessor_config.json"), to_json(recipe_preprocessor(parts.config)));
  write_json(out.file("generation_config.json"), generation_settings(parts.recipe));
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
