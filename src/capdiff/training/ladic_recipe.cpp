#include "capdiff/training/ladic_recipe.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/training/model_files.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

Vocabulary stored_vocabulary(const Recipe& recipe, const fs::path& run, const LadicConfig& config) {
  const fs::path path = input_file(recipe, run, "vocab.txt");
  Vocabulary vocabulary = Vocabulary::load(path);
  if (vocabulary.size() != config.text.bert.vocab_size)
    fail(ErrorCode::usage, "{}: {} pieces, but the recipe has model.text.vocab_size = {}", path.string(),
         vocabulary.size(), config.text.bert.vocab_size);
  return vocabulary;
}

SafetensorsFile statistics_file(const Recipe& recipe, const fs::path& run) {
  return SafetensorsFile::open(input_file(recipe, run, "statistics.safetensors"));
}

}  // namespace

LadicConfig recipe_model(const Recipe& recipe) {
  const std::optional<fs::path> folder = StartingPoint::of(recipe).model();
  if (!recipe.has("model") && folder) return LadicConfig::of_folder(ModelFolder::open(*folder));
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
    add_tensors(parameters, SafetensorsFile::open(path), [](const std::string& name) { return name; });
  }
  parameters.initialise_missing(run.seed());
  return parameters;
}

SafetensorsFile recipe_statistics(const RunContext& run) {
  return statistics_file(run.recipe(), run.folder());
}

Vocabulary recipe_vocabulary(const RunContext& run, const LadicConfig& config) {
  return stored_vocabulary(run.recipe(), run.folder(), config);
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

void export_ladic(const fs::path& folder, const Recipe& recipe, const fs::path& run,
                  const std::map<std::string, HostTensor>& weights) {
  const LadicConfig config = recipe_model(recipe);
  const SafetensorsFile statistics = statistics_file(recipe, run);
  AtomicFolder out(folder);
  write_weights(out, weights);
  write_safetensors(out.file("statistics.safetensors"),
                    {{"mean", statistics.tensor("mean")}, {"std", statistics.tensor("std")}});
  stored_vocabulary(recipe, run, config).save(out.file("vocab.txt"));
  write_json(out.file("config.json"), config.to_json());
  write_json(out.file("scheduler_config.json"), config.scheduler_to_json());
  write_json(out.file("preprocessor_config.json"), to_json(recipe_preprocessor(config)));
  write_json(out.file("generation_config.json"), generation_settings(recipe));
  out.commit();
}

}  // namespace capdiff
