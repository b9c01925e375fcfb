#include <spdlog/spdlog.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/training/augment_options.h"
#include "capdiff/training/distillation.h"
#include "capdiff/training/ladic_recipe.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

/// Photos of the training splits, then those without captions, by name.
std::vector<PhotoSource> training_photos(const DataOptions& data) {
  std::vector<PhotoSource> photos = recipe_photos(data, training_dataset(data));
  if (!data.has("unlabelled")) return photos;
  std::vector<fs::path> unlabelled;
  for (const fs::directory_entry& entry : fs::directory_iterator(data.path("unlabelled")))
    if (entry.is_regular_file()) unlabelled.push_back(entry.path());
  std::ranges::sort(unlabelled);
  photos.insert(photos.end(), unlabelled.begin(), unlabelled.end());
  return photos;
}

/// The graph of the teacher: the only JSON file of its folder.
fs::path teacher_graph(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json") return entry.path();
  fail(ErrorCode::not_found, "{}: no teacher in this folder (a .json file beside a .safetensors file)",
       folder.string());
}

struct ImageEncoderStage {
  OptimisationOptions optimisation;
  DistillationOptions distillation;
  std::int64_t components = 320, hint_components = 48;  ///< principal components of the teacher's features
  int teacher_side = 256;                               ///< pixels
  std::int64_t held_out = 200;                          ///< photos
};

ImageEncoderStage read_image_encoder(const Recipe& recipe, const JsonReader& table) {
  ImageEncoderStage stage{read_optimisation(table), {}};
  DistillationOptions& options = stage.distillation;
  options.augment = read_augment_options(table);
  options.pooled_weight = table.get_number("pooled_weight", 0.0, 1000.0, options.pooled_weight);
  options.cosine_weight = table.get_number("cosine_weight", 0.0, 1000.0, options.cosine_weight);
  options.hint_weight = table.get_number("hint_weight", 0.0, 1000.0, options.hint_weight);
  options.seed = recipe.seed();
  stage.components = table.get_int("components", 1, 1 << 16, stage.components);
  stage.hint_components = table.get_int("hint_components", 1, 1 << 16, stage.hint_components);
  stage.teacher_side = static_cast<int>(table.get_int("teacher_side", 32, 1024, stage.teacher_side));
  stage.held_out = table.get_int("held_out", 0, 1 << 20, stage.held_out);
  table.reject_unknown_keys();
  recipe_model(recipe);
  return stage;
}

void run_image_encoder(RunContext& run, const ImageEncoderStage& stage) {
  const DistillationOptions& options = stage.distillation;
  const LadicConfig config = recipe_model(run);
  const PhotoStore photos(training_photos(run.data()), stage.teacher_side, at::get_num_threads());
  const auto teacher_backend = run.make_backend();
  const Teacher teacher(*teacher_backend, teacher_graph(run.data().path("teacher")));
  const TeacherGrids grids(*teacher_backend, teacher, photos, stage.teacher_side, stage.components,
                           options.hint_weight > 0 ? stage.hint_components : 0);

  // Every so many photos one is kept aside, to see whether the encoder generalises.
  std::vector<std::int64_t> learnt, kept_aside;
  const std::int64_t every = stage.held_out > 0 ? std::max<std::int64_t>(2, photos.size() / stage.held_out) : 0;
  for (std::int64_t i = 0; i < photos.size(); ++i)
    if (photos.readable(i)) (every > 0 && i % every == 0 ? kept_aside : learnt).push_back(i);

  const auto backend = run.make_backend();
  backend->set_trainable([](const std::string&) { return true; });
  ParameterStore parameters;
  parameters.initialise_missing(run.seed());
  const auto encoder = make_image_encoder(*backend, Scope(parameters) / "visual_encoder", config.image_encoder);
  DistillationObjective objective(*backend, *encoder, parameters, recipe_preprocessor(config), photos, learnt, grids,
                                  options);
  TrainerContext context = run.trainer();
  context.validate_every = stage.optimisation.checkpoint_every;
  context.validate = [&](std::int64_t step) -> std::map<std::string, double> {
    if (kept_aside.empty()) return {};
    const double unexplained = objective.unexplained_variance(kept_aside);
    spdlog::info("image encoder, step {}: {:.3f} of the held-out variance unexplained", step, unexplained);
    return {{"unexplained_variance", unexplained}};
  };
  train(objective, *backend, stage.optimisation, context);
  if (!run.leads()) return;

  std::map<std::string, HostTensor> weights = backend->state();
  std::erase_if(weights, [](const auto& entry) { return !entry.first.starts_with("visual_encoder."); });
  write_safetensors(run.output("image_encoder.safetensors"), weights);
}

}  // namespace

Stage image_encoder_stage() {
  return Stage::of("image_encoder", read_image_encoder, run_image_encoder, /*shared=*/true);
}

}  // namespace capdiff
