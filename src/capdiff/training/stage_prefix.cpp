#include <spdlog/spdlog.h>

#include <limits>
#include <optional>

#include "capdiff/base/error.h"
#include "capdiff/text/vocabulary_trainer.h"
#include "capdiff/training/model_keeper.h"
#include "capdiff/training/prefix_objective.h"
#include "capdiff/training/prefix_recipe.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

struct WordVocabularyOptions {
  std::int64_t min_count = 2;         ///< rarer words become UNK
  std::int64_t max_size = 1'000'000;  ///< most words, special ones included
};

WordVocabularyOptions read_word_vocabulary(const Recipe&, const JsonReader& table) {
  WordVocabularyOptions options;
  options.min_count = table.get_int("min_count", 1, 1 << 30, options.min_count);
  options.max_size = table.get_int("max_size", 5, options.max_size, options.max_size);
  table.reject_unknown_keys();
  return options;
}

void run_word_vocabulary(RunContext& run, const WordVocabularyOptions& options) {
  WordCounts words;
  for (const CaptionedImage& image : training_dataset(run.data()).images)
    for (const std::string& caption : image.captions) words.add(caption);
  const WordVocabulary vocabulary = WordVocabulary::of(words, options.min_count, options.max_size);
  vocabulary.save(run.output(kWordsFile));
  spdlog::info("word vocabulary: {} words", vocabulary.size());
}

struct PrefixStage {
  OptimisationOptions optimisation;
  PrefixTrainingOptions training;
  std::optional<ValidationOptions> validation;
};

PrefixStage read_prefix(const Recipe& recipe, const JsonReader& table) {
  PrefixStage stage{read_optimisation(table), {}, {}};
  stage.training.image_drop = table.get_number("image_drop", 0.0, 1.0, stage.training.image_drop);
  stage.training.seed = recipe.seed();
  table.reject_unknown_keys();
  if (recipe.has("validation")) stage.validation = read_validation(recipe.table("validation"));
  check_prefix_recipe(recipe);
  return stage;
}

/// A photo, or an empty one where it cannot be read.
Image photo_or_nothing(const PhotoSource& source) {
  try {
    return read_photo(source);
  } catch (const Error& error) {
    spdlog::warn("left out: {}", error.what());
    return {};
  }
}

/// Photos of a dataset, called `what` in errors, with their encoded captions.
std::vector<CaptionedPhoto> photos_with_words(const CaptionDataset& dataset, const ImageFeatures& features,
                                              EncodedCaptions& captions, const std::string& what) {
  return captioned_photos(
      dataset, [&](std::int64_t photo) { return features.readable[static_cast<std::size_t>(photo)]; }, captions, what);
}

/// What the leader watches the captioner with.
struct PrefixValidation {
  PrefixValidation(const RunContext& run, const ValidationOptions& options, const PrefixParts& parts,
                   TorchBackend& backend, const PrefixModel& model)
      : photos(run, options),
        features(image_features(backend, model, parts.preprocessor, photos.photos.size(),
                                [this](std::int64_t i) { return photos.photos.photo(i); })),
        captions(word_captions(parts.vocabulary, parts.config.length)),
        objective(backend, model, features,
                  photos_with_words(photos.dataset, features, captions, "split \"" + options.split + '"'), captions,
                  {.image_drop = 0, .seed = run.seed()}),
        validation(run, options, photos, objective) {}

  ValidationPhotos photos;
  ImageFeatures features;
  EncodedCaptions captions;
  PrefixObjective objective;
  CaptionValidation validation;
};

void run_prefix(RunContext& run, const PrefixStage& stage) {
  const PrefixParts parts = prefix_parts(run.recipe(), run.folder());
  const auto backend = run.make_backend();
  backend->set_trainable([](const std::string& name) { return !name.starts_with("visual."); });
  const ParameterStore parameters = prefix_parameters(run.recipe(), parts.config);
  const PrefixModel model(*backend, parameters, parts.config, /*with_image_tower=*/true);
  require_image_tower(parameters);

  const CaptionDataset dataset = training_dataset(run.data());
  const std::vector<PhotoSource> sources = recipe_photos(run.data(), dataset);
  const ImageFeatures features =
      image_features(*backend, model, parts.preprocessor, static_cast<std::int64_t>(sources.size()),
                     [&](std::int64_t i) { return photo_or_nothing(sources[static_cast<std::size_t>(i)]); });
  EncodedCaptions captions = word_captions(parts.vocabulary, parts.config.length);
  const std::vector<CaptionedPhoto> items = photos_with_words(dataset, features, captions, "the training set");
  spdlog::info("prefix_diffusion: {} photos, {} captions", items.size(), captions.size());
  PrefixObjective objective(*backend, model, features, items, captions, stage.training);

  std::optional<PrefixValidation> watch;
  if (stage.validation && run.leads()) watch.emplace(run, *stage.validation, parts, *backend, model);
  const auto export_model = [&](const std::filesystem::path& folder) {
    export_prefix(folder, run.recipe(), run.folder(), backend->state());
  };
  train_captioner(run, objective, *backend, stage.optimisation, run.trainer(), export_model, stage.validation,
                  watch ? &watch->validation : nullptr);
}

}  // namespace

Stage word_vocabulary_stage() {
  return Stage::of("word_vocabulary", read_word_vocabulary, run_word_vocabulary);
}

Stage prefix_stage() {
  return Stage::of("prefix_diffusion", read_prefix, run_prefix, /*shared=*/true);
}

}  // namespace capdiff
