#include <spdlog/spdlog.h>

#include "capdiff/base/error.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/formats/dataset.h"
#include "capdiff/training/augment_options.h"
#include "capdiff/training/ladic_objective.h"
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

/// The weights that earlier stages have left, and the seed for all others.
ParameterStore trained_parameters(const RunContext& run, std::initializer_list<const char*> files) {
  ParameterStore parameters;
  for (const char* file : files) parameters.add(SafetensorsFile::open(run.file(file)));
  parameters.add(SafetensorsFile::open(run.file("statistics.safetensors")), "statistics.");
  parameters.initialise_missing(run.seed());
  return parameters;
}

}  // namespace

void run_text_diffusion_stage(RunContext& run) {
  const JsonReader table = run.table();
  const OptimisationOptions optimisation = read_optimisation(table);
  LadicTrainingOptions options{.captions_per_photo = 1};
  options.self_condition = table.get_number("self_condition", 0.0, 1.0, options.self_condition);
  options.seed = run.seed();
  table.reject_unknown_keys();

  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const EncodedCaptions captions = encode_training_captions(run.data(), tokenizer, config);
  std::vector<CaptionedPhoto> items;
  for (std::int64_t i = 0; i < captions.size(); ++i) items.push_back({-1, {i}});
  spdlog::info("text diffusion: {} captions", captions.size());

  const ParameterStore parameters = trained_parameters(run, {"text.safetensors"});
  const auto backend = run.make_backend();
  backend->set_trainable(learns);
  const LadicModel model(*backend, parameters, config, special_ids(tokenizer.vocabulary()), /*with_text_encoder=*/true);
  LadicObjective objective(*backend, model, recipe_preprocessor(config), nullptr, std::move(items), captions, options);
  train(objective, *backend, optimisation, run.trainer());
  if (!run.leads()) return;
  std::map<std::string, HostTensor> weights = backend->state();
  std::erase_if(weights, [](const auto& entry) { return !learns(entry.first); });
  write_safetensors(run.output("diffuser.safetensors"), weights);
}

void run_ladic_stage(RunContext& run) {
  const JsonReader table = run.table();
  const OptimisationOptions optimisation = read_optimisation(table);
  LadicTrainingOptions options;
  options.augment = read_augment_options(table);
  options.captions_per_photo = table.get_int("captions_per_photo", 1, 64, options.captions_per_photo);
  options.image_drop = table.get_number("image_drop", 0.0, 1.0, options.image_drop);
  options.self_condition = table.get_number("self_condition", 0.0, 1.0, options.self_condition);
  options.train_image_encoder = table.get_bool("train_image_encoder", options.train_image_encoder);
  options.frozen_image_encoder_samples =
      static_cast<std::uint64_t>(optimisation.batch * table.get_int("frozen_image_encoder_steps", 0, 1'000'000'000, 0));
  const double encoder_rate = table.get_number("image_encoder_rate", 0.0, 1.0, 1.0);
  options.seed = run.seed();
  table.reject_unknown_keys();

  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const CaptionDataset dataset = read_dataset(run.data().path("dataset"), run.data().splits());
  std::vector<std::filesystem::path> paths;
  for (const CaptionedImage& image : dataset.images) paths.push_back(run.data().path("images") / image.path);
  const Preprocessor preprocessor = recipe_preprocessor(config);
  const PhotoStore photos(paths, 2 * preprocessor.size, at::get_num_threads());
  EncodedCaptions captions(tokenizer, config.length, config.max_words);
  std::vector<CaptionedPhoto> items = captioned_photos(dataset, photos, captions);
  spdlog::info("ladic: {} photos, {} captions", items.size(), captions.size());

  ParameterStore parameters = trained_parameters(run, {"text.safetensors", "image_encoder.safetensors"});
  if (run.recipe().has("text_diffusion")) parameters.add(SafetensorsFile::open(run.file("diffuser.safetensors")));
  const auto backend = run.make_backend();
  backend->set_trainable([&options](const std::string& name) {
    return learns(name) || (options.train_image_encoder && name.starts_with("visual_encoder."));
  });
  const LadicModel model(*backend, parameters, config, special_ids(tokenizer.vocabulary()), /*with_text_encoder=*/true);
  LadicObjective objective(*backend, model, preprocessor, &photos, std::move(items), captions, options);
  const std::filesystem::path folder = run.output("model");
  TrainerContext context = run.trainer();
  context.rate = [encoder_rate](const std::string& name) {
    return name.starts_with("visual_encoder.") ? encoder_rate : 1.0;
  };
  context.validate_every = optimisation.checkpoint_every;
  context.validate = [&](std::int64_t) { export_model(folder, run, config, backend->state()); };
  train(objective, *backend, optimisation, context);
  if (!run.leads()) return;
  export_model(folder, run, config, backend->state());
}

}  // namespace capdiff
