#include "capdiff/training/caption_validation.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "capdiff/base/files.h"
#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/evaluation/report.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

constexpr std::size_t kValidationBatch = 16;

}  // namespace

ValidationOptions read_validation(const JsonReader& table) {
  ValidationOptions options;
  options.split = table.get_string("split", options.split);
  options.images = table.get_int("images", 1, 1 << 20, options.images);
  options.every = table.get_int("every", 1, 1'000'000'000, options.every);
  options.steps = table.get_int("steps", 1, 1000, options.steps);
  options.samples = table.get_int("samples", 0, 1000, options.samples);
  table.reject_unknown_keys();
  return options;
}

ValidationPhotos::ValidationPhotos(const RunContext& run, const ValidationOptions& options)
    : dataset(first_captioned(recipe_dataset(run.data(), {options.split}), options.images)),
      photos(recipe_photos(run.data(), dataset), /*max_side=*/0, at::get_num_threads()) {}

CaptionValidation::CaptionValidation(const RunContext& run, const ValidationOptions& options,
                                     const ValidationPhotos& photos, Objective& objective)
    : run_(&run), options_(options), photos_(&photos), objective_(&objective) {
  for (std::size_t i = 0; i < photos.dataset.images.size(); ++i)
    if (photos.photos.readable(static_cast<std::int64_t>(i))) places_.push_back(i);
  spdlog::info("validation: {} photos of split {}", places_.size(), options.split);
}

std::map<std::string, double> CaptionValidation::score(std::int64_t step, const std::filesystem::path& folder) {
  const torch::NoGradGuard no_grad;
  const std::vector<Caption> captions = captions_of(folder);
  write_samples(step, captions);
  std::vector<EvaluatedCaption> evaluated;
  for (std::size_t i = 0; i < places_.size(); ++i)
    evaluated.push_back({std::to_string(image(i).id), captions[i].text, image(i).captions});
  std::vector<std::unique_ptr<CaptionMetric>> metrics;
  metrics.push_back(make_bleu_metric());
  metrics.push_back(make_cider_d_metric(std::nullopt));
  const auto words = make_caption_tokenizer("ptb");
  const EvaluationReport report = score_captions(PreparedCaptions(std::move(evaluated), *words), metrics);
  std::map<std::string, double> scores{{"loss", loss()}};
  for (const char* name : {"CIDEr-D", "BLEU-4"}) scores[name] = report.find(name)->corpus;
  spdlog::info("validation, step {}: CIDEr-D {:.3f}, BLEU-4 {:.3f}, loss {:.4f}", step, scores["CIDEr-D"],
               scores["BLEU-4"], scores["loss"]);
  return scores;
}

std::vector<Caption> CaptionValidation::captions_of(const std::filesystem::path& folder) const {
  const auto backend = run_->make_backend();
  const auto captioner = load_captioner(ModelFolder::open(folder), *backend);
  GenerationOptions generation = captioner->defaults();
  if (options_.steps > 0) generation.steps = options_.steps;
  std::vector<Caption> captions;
  for (std::size_t begin = 0; begin < places_.size(); begin += kValidationBatch) {
    std::vector<Image> batch;
    for (std::size_t i = begin; i < std::min(begin + kValidationBatch, places_.size()); ++i)
      batch.push_back(photos_->photos.photo(static_cast<std::int64_t>(places_[i])));
    for (Caption& caption : captioner->caption(batch, generation)) captions.push_back(std::move(caption));
  }
  return captions;
}

double CaptionValidation::loss() const {
  const auto count = static_cast<std::size_t>(objective_->size());
  double sum = 0;
  for (std::size_t begin = 0; begin < count; begin += kValidationBatch) {
    std::vector<Sample> samples;
    for (std::size_t i = begin; i < std::min(begin + kValidationBatch, count); ++i)
      samples.push_back({static_cast<std::int64_t>(i), i});
    sum += objective_->losses(*objective_->prepare(samples)).total.item<double>() * static_cast<double>(samples.size());
  }
  return sum / static_cast<double>(count);
}

void CaptionValidation::write_samples(std::int64_t step, std::span<const Caption> captions) const {
  std::string text;
  for (std::size_t i = 0; i < std::min(captions.size(), static_cast<std::size_t>(options_.samples)); ++i) {
    text += fmt::format("{}\n  caption:   {}\n", image(i).path.string(), captions[i].text);
    for (const std::string& reference : image(i).captions) text += fmt::format("  reference: {}\n", reference);
    text += "\n";
  }
  if (text.empty()) return;
  const std::filesystem::path folder = run_->file("samples");
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / fmt::format("step-{:06}.txt", step), text);
}

}  // namespace capdiff
