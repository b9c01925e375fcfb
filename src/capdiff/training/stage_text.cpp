#include <spdlog/spdlog.h>

#include <array>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/text/vocabulary_trainer.h"
#include "capdiff/training/ladic_recipe.h"
#include "capdiff/training/language_model.h"
#include "capdiff/training/latent_statistics.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

VocabularyTrainerOptions read_vocabulary(const Recipe&, const JsonReader& table) {
  VocabularyTrainerOptions options;
  options.size = table.get_int("size", 16, 1 << 20);
  options.min_character_count = table.get_int("min_character_count", 1, 1 << 30, options.min_character_count);
  options.min_pair_count = table.get_int("min_pair_count", 1, 1 << 30, options.min_pair_count);
  table.reject_unknown_keys();
  return options;
}

void run_vocabulary(RunContext& run, const VocabularyTrainerOptions& options) {
  WordCounts words;
  for (const std::string& caption : training_captions(run.data())) words.add(clean_caption(caption));
  const Vocabulary vocabulary = train_vocabulary(words, options);
  vocabulary.save(run.output("vocab.txt"));
  spdlog::info("vocabulary: {} pieces", vocabulary.size());
}

struct LanguageModelStage {
  OptimisationOptions optimisation;
  double mask_probability = 0.15;
};

LanguageModelStage read_language_model(const Recipe& recipe, const JsonReader& table) {
  LanguageModelStage stage;
  stage.optimisation = read_optimisation(table);
  stage.mask_probability = table.get_number("mask_probability", 0.0, 1.0, stage.mask_probability);
  table.reject_unknown_keys();
  recipe_model(recipe);
  return stage;
}

void run_language_model(RunContext& run, const LanguageModelStage& stage) {
  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const EncodedCaptions captions = encode_training_captions(run.data(), tokenizer, config);
  spdlog::info("language model: {} captions", captions.size());

  const auto backend = run.make_backend();
  backend->set_trainable([](const std::string&) { return true; });
  const ParameterStore parameters = starting_parameters(run, config, {});
  LanguageModelObjective objective(*backend, parameters, config.text, captions, tokenizer.vocabulary(),
                                   stage.mask_probability, run.seed());
  train(objective, *backend, stage.optimisation, run.trainer());
  if (!run.leads()) return;
  write_safetensors(run.output("text.safetensors"), backend->state());
}

struct StatisticsStage {
  std::int64_t captions = 20'000;
  bool normalise = true;  ///< or leave latents as they are: mean 0, deviation 1
};

StatisticsStage read_statistics(const Recipe& recipe, const JsonReader& table) {
  StatisticsStage stage;
  stage.captions = table.get_int("captions", 1, 1 << 30, stage.captions);
  stage.normalise = table.get_bool("normalise", stage.normalise);
  table.reject_unknown_keys();
  recipe_model(recipe);
  return stage;
}

void run_statistics(RunContext& run, const StatisticsStage& stage) {
  const LadicConfig config = recipe_model(run);
  if (!stage.normalise) {
    const std::int64_t width = config.text.bert.hidden;
    write_safetensors(run.output("statistics.safetensors"),
                      {{"mean", constant(width, 0.0f)}, {"std", constant(width, 1.0f)}});
    return;
  }
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const EncodedCaptions captions = encode_training_captions(run.data(), tokenizer, config);

  const torch::NoGradGuard frozen;
  const auto backend = run.make_backend();
  ParameterStore parameters = starting_parameters(run, config, std::array{kTextOutput});
  parameters.add("statistics.mean", HostTensor(DType::f32, {config.text.bert.hidden}));
  parameters.add("statistics.std", constant(config.text.bert.hidden, 1.0f));
  const SplitBert text(*backend, Scope(parameters), Scope(parameters) / "statistics", config.text,
                       special_ids(tokenizer.vocabulary()));
  // Evenly spread, so that every source of captions is heard.
  std::vector<std::int64_t> indices;
  const std::int64_t count = std::min(stage.captions, captions.size());
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(i * captions.size() / count);
  const LatentStatistics statistics = latent_statistics(*backend, text, captions, indices);
  write_safetensors(run.output("statistics.safetensors"), {{"mean", statistics.mean}, {"std", statistics.std}});
}

}  // namespace

Stage vocabulary_stage() {
  return Stage::of("vocabulary", read_vocabulary, run_vocabulary);
}

Stage language_model_stage() {
  return Stage::of("language_model", read_language_model, run_language_model, /*shared=*/true);
}

Stage statistics_stage() {
  return Stage::of("statistics", read_statistics, run_statistics);
}

}  // namespace capdiff
