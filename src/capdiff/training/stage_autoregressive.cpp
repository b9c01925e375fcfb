#include <spdlog/spdlog.h>

#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/training/autoregressive_objective.h"
#include "capdiff/training/autoregressive_recipe.h"
#include "capdiff/training/model_keeper.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

struct AutoregressiveStage {
  OptimisationOptions optimisation;
  AutoregressiveTrainingOptions training;
  std::optional<ValidationOptions> validation;
};

AutoregressiveStage read_autoregressive(const Recipe& recipe, const JsonReader& table) {
  AutoregressiveStage stage{read_optimisation(table), {}, {}};
  stage.training.captions_per_photo = table.get_int("captions_per_photo", 1, 64, stage.training.captions_per_photo);
  stage.training.seed = recipe.seed();
  table.reject_unknown_keys();
  if (recipe.has("validation")) stage.validation = read_validation(recipe.table("validation"));
  autoregressive_config(recipe);
  return stage;
}

/// Photos in memory as the frozen image encoder sees them, and their captions.
struct KnownPhotos {
  KnownPhotos(TorchBackend& backend, const AutoregressiveModel& model, const WordPieceTokenizer& tokenizer,
              const CaptionDataset& dataset, const PhotoStore& photos, const std::string& what)
      : features(photo_features(backend, model.image_encoder(), autoregressive_preprocessor(model.config()), photos)),
        captions(prompted_captions(tokenizer, model.config())),
        items(encoded_photos(dataset, photos, captions, what)),
        prompt(static_cast<std::int64_t>(prompt_tokens(model.config(), tokenizer).size())) {}

  PhotoFeatures features;
  EncodedCaptions captions;
  std::vector<CaptionedPhoto> items;
  std::int64_t prompt;
};

/// What the leader watches the captioner with.
struct AutoregressiveValidation {
  AutoregressiveValidation(const RunContext& run, const ValidationOptions& options, const WordPieceTokenizer& tokenizer,
                           TorchBackend& backend, const AutoregressiveModel& model)
      : photos(run, options),
        known(backend, model, tokenizer, photos.dataset, photos.photos, "split \"" + options.split + '"'),
        objective(backend, model, known.features, known.items, known.captions, known.prompt,
                  {.captions_per_photo = 1, .seed = run.seed()}),
        validation(run, options, photos, objective) {}

  ValidationPhotos photos;
  KnownPhotos known;
  AutoregressiveObjective objective;
  CaptionValidation validation;
};

void run_autoregressive(RunContext& run, const AutoregressiveStage& stage) {
  const AutoregressiveConfig config = autoregressive_config(run.recipe());
  const WordPieceTokenizer tokenizer(autoregressive_vocabulary(run.recipe(), run.folder(), config));
  const auto backend = run.make_backend();
  backend->set_trainable([](const std::string& name) { return name.starts_with("text_decoder."); });
  const ParameterStore parameters = autoregressive_parameters(run.recipe());
  const AutoregressiveModel model(*backend, parameters, config);

  const CaptionDataset dataset = training_dataset(run.data());
  const PhotoStore photos(recipe_photos(run.data(), dataset), 2 * autoregressive_preprocessor(config).size,
                          at::get_num_threads());
  const KnownPhotos known(*backend, model, tokenizer, dataset, photos, "the training set");
  spdlog::info("autoregressive: {} photos, {} captions", known.items.size(), known.captions.size());
  AutoregressiveObjective objective(*backend, model, known.features, known.items, known.captions, known.prompt,
                                    stage.training);

  std::optional<AutoregressiveValidation> watch;
  if (stage.validation && run.leads()) watch.emplace(run, *stage.validation, tokenizer, *backend, model);
  const auto export_model = [&](const std::filesystem::path& folder) {
    export_autoregressive(folder, run.recipe(), run.folder(), backend->state());
  };
  train_captioner(run, objective, *backend, stage.optimisation, run.trainer(), export_model, stage.validation,
                  watch ? &watch->validation : nullptr);
}

}  // namespace

Stage autoregressive_stage() {
  return Stage::of("autoregressive", read_autoregressive, run_autoregressive, /*shared=*/true);
}

}  // namespace capdiff
