#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "apps/capdiff/command.h"
#include "apps/capdiff/model_options.h"
#include "apps/capdiff/score_options.h"
#include "capdiff/backends/processor.h"
#include "capdiff/base/error.h"
#include "capdiff/base/progress.h"
#include "capdiff/data/photo_source.h"
#include "capdiff/formats/coco.h"
#include "capdiff/formats/dataset.h"

namespace capdiff::app {
namespace {

struct EvaluateOptions {
  ModelOptions model;
  std::string dataset;
  std::string images;
  std::string split = "test";
  double validation_share = 0;
  std::string output;
  std::int64_t limit = 0;
  std::optional<std::int64_t> length;
  std::string by_candidates;
  ScoreOptions scores;
};

/// Cosines of all candidates: those that the captions were chosen by, or computed for the occasion.
std::vector<std::vector<double>> cosines_of(const LoadedModel& model, std::span<const Image> images,
                                            std::span<const Caption> captions) {
  std::vector<std::vector<std::string>> texts;
  std::vector<std::vector<double>> relevances;
  for (const Caption& caption : captions) {
    texts.emplace_back();
    relevances.emplace_back();
    for (const Candidate& candidate : caption.candidates) {
      texts.back().push_back(candidate.text);
      relevances.back().push_back(candidate.relevance.value_or(0.0));
    }
  }
  return model.generation.select == Selection::clip ? relevances : model.clip->cosines(images, texts);
}

int evaluate(const EvaluateOptions& options) {
  if (options.dataset.empty()) fail(ErrorCode::usage, "evaluate needs --dataset FILE");
  const auto start = std::chrono::steady_clock::now();
  ScoreOptions scores = options.scores;
  const bool in_folder = options.images.empty() && std::filesystem::is_directory(options.dataset);
  scores.images = in_folder ? options.dataset : options.images;
  const Scoring scoring(scores);
  CaptionDataset dataset = read_dataset(options.dataset, {options.split}, options.validation_share);
  if (options.images.empty() && dataset.folder.empty()) fail(ErrorCode::usage, "evaluate needs --images DIR");
  if (options.limit > 0 && dataset.images.size() > static_cast<std::size_t>(options.limit))
    dataset.images.resize(static_cast<std::size_t>(options.limit));
  const std::vector<PhotoSource> photos =
      photo_sources(dataset, options.images.empty() ? dataset.folder : std::filesystem::path(options.images));
  CandidateGroupOptions candidates;
  if (!options.by_candidates.empty()) candidates.counts = candidate_counts(options.by_candidates);
  if (!candidates.counts.empty() && scores.csv)
    fail(ErrorCode::usage, "--csv has values of single images alone: --by-candidates goes with --json");
  LoadedModel model = load_model(options.model);
  model.generation.length = options.length;
  ModelOptions model_options = options.model;
  model_options.clip = scores.clip;
  const std::filesystem::path clip = load_clip(model_options, model, !candidates.counts.empty());
  if (!candidates.counts.empty()) model.generation.candidates = static_cast<std::int64_t>(candidates.counts.back());
  candidates.utility = model.generation.utility;

  std::vector<CocoResult> results;
  std::vector<EvaluatedCaption> captions;
  std::int64_t calls = 0;
  double seconds = 0.0;
  Progress progress("evaluating", dataset.images.size());
  // Published evaluations leave photos as they are stored.
  const DecodeOptions as_stored{.apply_exif_orientation = false};
  const auto batch = static_cast<std::size_t>(options.model.batch);
  for (std::size_t begin = 0; begin < dataset.images.size(); begin += batch) {
    const std::size_t end = std::min(begin + batch, dataset.images.size());
    std::vector<Image> images;
    for (std::size_t i = begin; i < end; ++i) images.push_back(read_photo(photos[i], as_stored));
    const auto began = std::chrono::steady_clock::now();
    const std::vector<Caption> drawn = model.captioner->caption(images, model.generation);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - began;
    seconds += elapsed.count();
    if (!candidates.counts.empty() && model.clip)
      for (std::vector<double>& cosines : cosines_of(model, images, drawn))
        candidates.cosines.push_back(std::move(cosines));
    for (std::size_t i = begin; i < end; ++i) {
      const auto& image = dataset.images[i];
      calls += drawn[i - begin].calls;
      results.push_back({image.id, drawn[i - begin].text});
      EvaluatedCaption caption{std::to_string(image.id), drawn[i - begin].text, image.captions};
      for (const Candidate& candidate : drawn[i - begin].candidates) caption.candidates.push_back(candidate.text);
      caption.file = image.path.string();
      captions.push_back(std::move(caption));
    }
    progress.advance(end - begin);
  }
  if (!options.output.empty()) write_coco_results(options.output, results);
  std::string signature = fmt::format(" | split {} | {} | {}", options.split, describe(model.generation),
                                      compute_name(model.backend->options().compute));
  if (!clip.empty()) signature += fmt::format(" | choosing clip {}", (clip / "").parent_path().filename().string());
  const auto count = static_cast<double>(std::max<std::size_t>(captions.size(), 1));
  candidates.seconds_per_image = seconds / count;
  std::string effort = fmt::format("a photo took {:.1f} ms", 1e3 * seconds / count);
  if (calls > 0) effort += fmt::format(" and {:.1f} calls of the network", static_cast<double>(calls) / count);
  return scoring.print(std::move(captions), signature, {std::move(effort)}, start, candidates);
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("evaluate", "Caption a split of a data set and score the captions");
  auto options = std::make_shared<EvaluateOptions>();
  command
      ->add_option(
          "--dataset", options->dataset,
          "Karpathy's or COCO's JSON file, paragraphs_v1.json of the Stanford paragraphs, a folder of pictures "
          "with text files, or tar shards")
      ->type_name("PATH");
  command->add_option("--images", options->images, "Folder of its pictures, where they are not in the data set itself")
      ->type_name("DIR");
  command->add_option("--split", options->split, "Which pictures")->capture_default_str();
  command
      ->add_option("--validation-share", options->validation_share,
                   "Share of the pictures that is split val, in data without splits; as data.validation_share")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--limit", options->limit, "Only the first N pictures of the split (0: all)")
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "Write the captions as a COCO result file")->type_name("FILE");
  command->add_option("--length", options->length, "Exactly so many words in every caption")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{4096}));
  CLI::Option* by_candidates = command->add_option(
      "--by-candidates", options->by_candidates,
      "Draw the largest of these numbers of candidates, and score every selection among the first 1, 5 …");
  by_candidates->type_name("1,5,…");
  add_score_options(*command, options->scores);
  command->get_option("--clip")->description(
      "A CLIP, for the metric clipscore and for --select clip (there the default is models/clip)");
  add_model_options(*command, options->model);
  by_candidates->excludes("--candidates");
  add_configuration(*command, action, [options] { return evaluate(*options); });
}

}  // namespace capdiff::app
