#include <spdlog/spdlog.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/training/augment_options.h"
#include "capdiff/training/ladic_objective.h"
#include "capdiff/training/ladic_validation.h"
#include "capdiff/training/model_export.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

/// Photos of the training splits with their encoded captions; those that cannot be read or have no caption are left
/// out.
std::vector<CaptionedPhoto> captioned_photos(const CaptionDataset& dataset, const PhotoStore& photos,
                                             EncodedCaptions& captions) {
  std::vector<CaptionedPhoto> items;
  for (std::size_t i = 0; i < dataset.images.size(); ++i) {
    CaptionedPhoto item{static_cast<std::int64_t>(i), {}};
    if (!photos.readable(item.photo)) continue;
    for (const std::string& caption : dataset.images[i].captions)
      if (const std::int64_t index = captions.add(caption); index >= 0) item.captions.push_back(index);
    if (!item.captions.empty()) items.push_back(std::move(item));
  }
  if (items.empty()) fail(ErrorCode::invalid_input, "no photo of the training set has a caption");
  return items;
}

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

/// Exports the models of a run. Without validation model/ is the newest. With it, model/ is the one with the best
/// CIDEr-D so far, and model-last/ the newest.
class ModelKeeper {
 public:
  ModelKeeper(RunContext& run, const LadicConfig& config, const TorchBackend& backend)
      : run_(run), config_(config), backend_(backend), best_(run.output("model")), last_(run.file("model-last")) {
    // What a run that began anew finds there is another run's.
    if (run.leads() && !std::filesystem::exists(run.trainer().checkpoints)) {
      std::filesystem::remove(best_ / "validation.json");
      std::filesystem::remove(last_ / "validation.json");
    }
  }

  /// Exports the present weights, and returns their scores.
  std::map<std::string, double> keep(std::int64_t step, LadicValidation* validation) {
    const ModelParts parts{run_.recipe(), run_.folder(), config_, backend_.state()};
    last_step_ = step;
    if (!validation) {
      export_model(best_, parts);
      return {};
    }
    export_model(last_, parts);
    const std::map<std::string, double> scores = validation->score(step, last_);
    nlohmann::json record(scores);
    record["step"] = step;
    export_model(last_, parts, record);
    const nlohmann::json best = validation_of(best_);
    if (best.is_null() || scores.at("CIDEr-D") > best.value("CIDEr-D", 0.0)) export_model(best_, parts, record);
    return scores;
  }

  /// The step of the last model that this process exported, or −1.
  std::int64_t last_step() const { return last_step_; }

 private:
  RunContext& run_;
  const LadicConfig& config_;
  const TorchBackend& backend_;
  std::filesystem::path best_, last_;
  std::int64_t last_step_ = -1;
};

struct TextDiffusionStage {
  OptimisationOptions optimisation;
  LadicTrainingOptions training;
};

TextDiffusionStage read_text_diffusion(const Recipe& recipe, const JsonReader& table) {
  TextDiffusionStage stage{read_optimisation(table), {.captions_per_photo = 1}};
  stage.training.self_condition = table.get_number("self_condition", 0.0, 1.0, stage.training.self_condition);
  stage.training.seed = recipe.seed();
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
  LadicObjective objective(*backend, model, recipe_preprocessor(config), nullptr, std::move(items), captions,
                           stage.training);
  train(objective, *backend, stage.optimisation, run.trainer());
  if (!run.leads()) return;
  std::map<std::string, HostTensor> weights = backend->state();
  std::erase_if(weights, [](const auto& entry) { return !learns(entry.first); });
  write_safetensors(run.output("diffuser.safetensors"), weights);
}

struct LadicStage {
  OptimisationOptions optimisation;
  LadicTrainingOptions training;
  bool cache_photos = false;  ///< encode every photo once: for a frozen encoder, without augmentation
  double encoder_rate = 1.0;  ///< share of the learning rate that the image encoder gets
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
  stage.encoder_rate = table.get_number("image_encoder_rate", 0.0, 1.0, stage.encoder_rate);
  table.reject_unknown_keys();
  if (recipe.has("validation")) stage.validation = read_validation(recipe.table("validation"));
  recipe_model(recipe);
  return stage;
}

void run_ladic(RunContext& run, const LadicStage& stage) {
  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const CaptionDataset dataset = recipe_dataset(run.data(), run.data().splits());
  const Preprocessor preprocessor = recipe_preprocessor(config);
  const PhotoStore photos(recipe_photos(run.data(), dataset), 2 * preprocessor.size, at::get_num_threads());
  EncodedCaptions captions(tokenizer, config.length, config.max_words);
  std::vector<CaptionedPhoto> items = captioned_photos(dataset, photos, captions);
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
  LadicObjective objective(*backend, model, preprocessor, &photos, std::move(items), captions, stage.training,
                           features ? &*features : nullptr);
  TrainerContext context = run.trainer();
  context.rate = [&stage](const std::string& name) {
    return name.starts_with("visual_encoder.") ? stage.encoder_rate : 1.0;
  };
  ModelKeeper keeper(run, config, *backend);
  std::optional<LadicValidation> validation;
  context.validate_every = stage.optimisation.checkpoint_every;
  if (stage.validation) {
    if (run.leads()) validation.emplace(run, *stage.validation, tokenizer, *backend, model);
    if (stage.validation->every > 0) context.validate_every = stage.validation->every;
  }
  context.validate = [&](std::int64_t step) { return keeper.keep(step, validation ? &*validation : nullptr); };
  const TrainingResult result = train(objective, *backend, stage.optimisation, context);
  if (!run.leads()) return;
  if (keeper.last_step() != result.steps) keeper.keep(result.steps, validation ? &*validation : nullptr);
}

}  // namespace

Stage text_diffusion_stage() {
  return Stage::of("text_diffusion", read_text_diffusion, run_text_diffusion, /*shared=*/true);
}

Stage ladic_stage() {
  return Stage::of("ladic", read_ladic, run_ladic, /*shared=*/true);
}

}  // namespace capdiff
