#include <spdlog/spdlog.h>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/text/clean_caption.h"
#include "capdiff/text/vocabulary_trainer.h"
#include "capdiff/training/language_model.h"
#include "capdiff/training/latent_statistics.h"
#include "capdiff/training/model_export.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
void run_vocabulary_stage(RunContext& run) {
  const JsonReader table = run.table();
  VocabularyTrainerOptions options;
  options.size = table.get_int("size", 16, 1 << 20);
  options.min_character_count = table.get_int("min_character_count", 1, 1 << 30, options.min_character_count);
  options.min_pair_count = table.get_int("min_pair_count", 1, 1 << 30, options.min_pair_count);
  table.reject_unknown_keys();
  WordCounts words;
  for (const std::string& caption : training_captions(run.data())) words.add(clean_caption(caption));
  const Vocabulary vocabulary = train_vocabulary(words, options);
  vocabulary.save(run.output("vocab.txt"));
  spdlog::info("vocabulary: {} pieces", vocabulary.size());
}

void run_language_model_stage(RunContext& run) {
  const JsonReader table = run.table();
  const OptimisationOptions optimisation = read_optimisation(table);
  const double mask_probability = table.get_number("mask_probability", 0.0, 1.0, 0.15);
  table.reject_unknown_keys();
  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const EncodedCaptions captions = encode_training_captions(run.data(), tokenizer, config);
  spdlog::info("language model: {} captions", captions.size());

  const auto backend = run.make_backend();
  backend->set_trainable([](const std::string&) { return true; });
  ParameterStore parameters;
  parameters.initialise_missing(run.seed());
  LanguageModelObjective objective(*backend, parameters, config.text, captions, tokenizer.vocabulary(),
                                   mask_probability, run.seed());
  train(objective, *backend, optimisation, run.trainer());
  if (!run.leads()) return;
  write_safetensors(run.output("text.safetensors"), backend->state());
}

void run_statistics_stage(RunContext& run) {
  const JsonReader table = run.table();
  const std::int64_t count = table.get_int("captions", 1, 1 << 30, 20'000);
  table.reject_unknown_keys();
  const LadicConfig config = recipe_model(run);
  const WordPieceTokenizer tokenizer(recipe_vocabulary(run, config));
  const EncodedCaptions captions = encode_training_captions(run.data(), tokenizer, config);

  const torch::NoGradGuard frozen;
  const auto backend = run.make_backend();
  ParameterStore parameters;
  parameters.add(SafetensorsFile::open(run.file("text.safetensors")));
  parameters.add("statistics.mean", HostTensor(DType::f32, {config.text.bert.hidden}));
  parameters.add("statistics.std", constant(config.text.bert.hidden, 1.0f));
  const SplitBert text(*backend, Scope(parameters), Scope(parameters) / "statistics", config.text,
                       special_ids(tokenizer.vocabulary()));
  // Evenly spread, so that every source of captions is heard.
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < std::min(count, captions.size()); ++i)
    indices.push_back(i * captions.size() / std::min(count, captions.size()));
  const LatentStatistics statistics = latent_statistics(*backend, text, captions, indices);
  write_safetensors(run.output("statistics.safetensors"), {{"mean", statistics.mean}, {"std", statistics.std}});
}

}  // namespace capdiff
