#include <spdlog/spdlog.h>

#include <array>
#include <map>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/training/augment_options.h"
#include "capdiff/training/caption_latents.h"
#include "capdiff/training/ladic_objective.h"
#include "capdiff/training/ladic_recipe.h"
#include "capdiff/training/model_keeper.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

/// Whether a parameter makes the latents of words. Their scale stays, so that the noise schedule keeps its meaning.
bool spans_latent_space(std::string_view name) {
  return name.starts_with("space_encoder.") && !name.starts_with("space_encoder.embeddings.LayerNorm.");
}

/// `starting_parameters` with the statistics of the latent space.
ParameterStore trained_parameters(const RunContext& run, const LadicConfig& config, std::span<const StageOutput> made) {
  ParameterStore parameters = starting_parameters(run, config, made);
  parameters.add(recipe_statistics(run), "statistics.");
  return parameters;
}

/// What the leader watches the captioner with.
struct LadicValidation {
  LadicValidation(const RunContext& run, const ValidationOptions& options, const WordPieceTokenizer& tokenizer,
                  TorchBackend& backend, const LadicModel& model)
      : photos(run, options),
        captions(tokenizer, model.config().length, model.config().max_words),
        objective(backend, model, recipe_preprocessor(model.config()), &photos.photos,
                  encoded_photos(photos.dataset, photos.photos, captions, "split \"" + options.split + '"'), captions,
                  {.captions_per_photo = 1,
                   .image_drop = 0,
                   .self_condition = 0,
                   .augment = std::nullopt,
                   .seed = run.seed()}),
        validation(run, options, photos, objective) {}

  ValidationPhotos photos;
  EncodedCaptions captions;
  LadicObjective objective;
  CaptionValidation validation;
};

struct TextDiffusionStage {
  OptimisationOptions optimisation;
  LadicTrainingOptions training;
  bool cache_latents = false;  ///< encode every caption once
};

TextDiffusionStage read_text_diffusion(const Recipe& recipe, const JsonReader& table) {
  TextDiffusionStage stage{read_optimisation(table), {.captions_per_photo = 1}};
  stage.training.self_condition = table.get_number("self_condition", 0.0, 1.0, stage.training.self_condition);
  stage.training.seed = recipe.seed();
  stage.cache_latents = table.get_bool("cache_latents", stage.cache_latents);
  table.reject_unknown_keys();
  recipe_model(recipe);
  return stage;
}

void run_text_diffusion(RunContext& run, const TextDiffusionStage& stage) {
  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const EncodedCaptions captions = encode_training_captions(run.data(), tokenizer, config);
  std::vector<CaptionedPhoto> items;
  for (std::int64_t i = 0; i < captions.size(); ++i) items.push_back({-1, {i}});
  spdlog::info("text diffusion: {} captions", captions.size());

  const ParameterStore parameters = trained_parameters(run, config, std::array{kTextOutput});
  const auto backend = run.make_backend();
  backend->set_trainable(learns);
  const LadicModel model(*backend, parameters, config, special_ids(tokenizer.vocabulary()), /*with_text_encoder=*/true);
  std::optional<HostTensor> latents;
  if (stage.cache_latents) latents = caption_latents(*backend, model.text(), captions);
  LadicObjective objective(*backend, model, recipe_preprocessor(config), nullptr, std::move(items), captions,
                           stage.training, nullptr, latents ? &*latents : nullptr);
  train(objective, *backend, stage.optimisation, run.trainer());
  if (!run.leads()) return;
  std::map<std::string, HostTensor> weights = backend->state();
  std::erase_if(weights, [](const auto& entry) { return !learns(entry.first); });
  write_safetensors(run.output("diffuser.safetensors"), weights);
}

struct LadicStage {
  OptimisationOptions optimisation;
  LadicTrainingOptions training;
  bool cache_photos = false;   ///< encode every photo once: for a frozen encoder, without augmentation
  bool cache_latents = false;  ///< encode every caption once: for a latent space that does not learn
  double encoder_rate = 1.0;   ///< share of the learning rate that the image encoder gets
  std::optional<ValidationOptions> validation;
};

LadicStage read_ladic(const Recipe& recipe, const JsonReader& table) {
  LadicStage stage;
  stage.optimisation = read_optimisation(table);
  LadicTrainingOptions& training = stage.training;
  training.captions_per_photo = table.get_int("captions_per_photo", 1, 64, training.captions_per_photo);
  training.image_drop = table.get_number("image_drop", 0.0, 1.0, training.image_drop);
  training.self_condition = table.get_number("self_condition", 0.0, 1.0, training.self_condition);
  training.train_image_encoder = table.get_bool("train_image_encoder", training.train_image_encoder);
  training.frozen_image_encoder_samples = static_cast<std::uint64_t>(
      stage.optimisation.batch * table.get_int("frozen_image_encoder_steps", 0, 1'000'000'000, 0));
  training.train_text = table.get_bool("train_text", training.train_text);
  training.seed = recipe.seed();
  stage.cache_photos = table.get_bool("cache_photos", stage.cache_photos);
  if (!stage.cache_photos)
    training.augment = read_augment_options(table);
  else if (training.train_image_encoder)
    fail(ErrorCode::usage, "{}: ladic.cache_photos needs an image encoder that does not learn", table.source());
  stage.cache_latents = table.get_bool("cache_latents", stage.cache_latents);
  if (stage.cache_latents && training.train_text)
    fail(ErrorCode::usage, "{}: ladic.cache_latents needs a latent space that does not learn", table.source());
  stage.encoder_rate = table.get_number("image_encoder_rate", 0.0, 1.0, stage.encoder_rate);
  table.reject_unknown_keys();
  if (recipe.has("validation")) stage.validation = read_validation(recipe.table("validation"));
  recipe_model(recipe);
  return stage;
}

void run_ladic(RunContext& run, const LadicStage& stage) {
  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const CaptionDataset dataset = training_dataset(run.data());
  const Preprocessor preprocessor = recipe_preprocessor(config);
  const PhotoStore photos(recipe_photos(run.data(), dataset), 2 * preprocessor.size, at::get_num_threads());
  EncodedCaptions captions(tokenizer, config.length, config.max_words);
  std::vector<CaptionedPhoto> items = encoded_photos(dataset, photos, captions, "the training set");
  spdlog::info("ladic: {} photos, {} captions", items.size(), captions.size());

  const ParameterStore parameters =
      trained_parameters(run, config, std::array{kTextOutput, kImageEncoderOutput, kDiffuserOutput});
  const auto backend = run.make_backend();
  backend->set_trainable([&stage](const std::string& name) {
    return learns(name) || (stage.training.train_image_encoder && name.starts_with("visual_encoder.")) ||
           (stage.training.train_text && spans_latent_space(name));
  });
  const LadicModel model(*backend, parameters, config, special_ids(tokenizer.vocabulary()), /*with_text_encoder=*/true);
  std::optional<PhotoFeatures> features;
  if (stage.cache_photos) features = photo_features(*backend, model.image_encoder(), preprocessor, photos);
  std::optional<HostTensor> latents;
  if (stage.cache_latents) latents = caption_latents(*backend, model.text(), captions);
  LadicObjective objective(*backend, model, preprocessor, &photos, std::move(items), captions, stage.training,
                           features ? &*features : nullptr, latents ? &*latents : nullptr);
  TrainerContext context = run.trainer();
  context.rate = [&stage](const std::string& name) {
    return name.starts_with("visual_encoder.") ? stage.encoder_rate : 1.0;
  };
  std::optional<LadicValidation> watch;
  if (stage.validation && run.leads()) watch.emplace(run, *stage.validation, tokenizer, *backend, model);
  const auto export_model = [&](const std::filesystem::path& folder) {
    export_ladic(folder, run.recipe(), run.folder(), backend->state());
  };
  train_captioner(run, objective, *backend, stage.optimisation, std::move(context), export_model, stage.validation,
                  watch ? &watch->validation : nullptr);
}

}  // namespace

Stage text_diffusion_stage() {
  return Stage::of("text_diffusion", read_text_diffusion, run_text_diffusion, /*shared=*/true);
}

Stage ladic_stage() {
  return Stage::of("ladic", read_ladic, run_ladic, /*shared=*/true);
}

}  // namespace capdiff
