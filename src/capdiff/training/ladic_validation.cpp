#include "capdiff/training/ladic_validation.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/evaluation/report.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/training/model_export.h"
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

LadicValidation::LadicValidation(const RunContext& run, const ValidationOptions& options,
                                 const WordPieceTokenizer& tokenizer, TorchBackend& backend, const LadicModel& model)
    : run_(&run),
      options_(options),
      backend_(&backend),
      captions_(tokenizer, model.config().length, model.config().max_words) {
  CaptionDataset dataset = recipe_dataset(run.data(), {options.split});
  std::erase_if(dataset.images, [](const CaptionedImage& image) { return image.captions.empty(); });
  dataset.images.resize(std::min(dataset.images.size(), static_cast<std::size_t>(options.images)));
  photos_ = std::make_unique<PhotoStore>(recipe_photos(run.data(), dataset), /*max_side=*/0, at::get_num_threads());
  std::vector<CaptionedPhoto> items;
  for (std::size_t i = 0; i < dataset.images.size(); ++i) {
    CaptionedPhoto item{static_cast<std::int64_t>(i), {}};
    if (!photos_->readable(item.photo)) continue;
    for (const std::string& caption : dataset.images[i].captions)
      if (const std::int64_t index = captions_.add(caption); index >= 0) item.captions.push_back(index);
    images_.push_back(std::move(dataset.images[i]));
    places_.push_back(item.photo);
    if (!item.captions.empty()) items.push_back(std::move(item));
  }
  if (items.empty()) fail(ErrorCode::invalid_input, "no photo of split \"{}\" has a caption", options.split);
  spdlog::info("validation: {} photos of split {}", images_.size(), options.split);
  const LadicTrainingOptions undisturbed{
      .captions_per_photo = 1, .image_drop = 0, .self_condition = 0, .augment = std::nullopt, .seed = run.seed()};
  objective_ = std::make_unique<LadicObjective>(backend, model, recipe_preprocessor(model.config()), photos_.get(),
                                                std::move(items), captions_, undisturbed);
}

std::map<std::string, double> LadicValidation::score(std::int64_t step, const std::filesystem::path& folder) {
  const torch::NoGradGuard no_grad;
  const std::vector<Caption> captions = captions_of(folder);
  write_samples(step, captions);
  std::vector<EvaluatedCaption> evaluated;
  for (std::size_t i = 0; i < images_.size(); ++i)
    evaluated.push_back({std::to_string(images_[i].id), captions[i].text, images_[i].captions});
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

std::vector<Caption> LadicValidation::captions_of(const std::filesystem::path& folder) const {
  const auto backend = run_->make_backend();
  const auto captioner = load_captioner(ModelFolder::open(folder), *backend);
  GenerationOptions generation = captioner->defaults();
  if (options_.steps > 0) generation.steps = options_.steps;
  std::vector<Caption> captions;
  for (std::size_t begin = 0; begin < images_.size(); begin += kValidationBatch) {
    std::vector<Image> batch;
    for (std::size_t i = begin; i < std::min(begin + kValidationBatch, images_.size()); ++i)
      batch.push_back(photos_->photo(places_[i]));
    for (Caption& caption : captioner->caption(batch, generation)) captions.push_back(std::move(caption));
  }
  return captions;
}

double LadicValidation::loss() const {
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

void LadicValidation::write_samples(std::int64_t step, std::span<const Caption> captions) const {
  std::string text;
  for (std::size_t i = 0; i < std::min(captions.size(), static_cast<std::size_t>(options_.samples)); ++i) {
    text += fmt::format("{}\n  caption:   {}\n", images_[i].path.string(), captions[i].text);
    for (const std::string& reference : images_[i].captions) text += fmt::format("  reference: {}\n", reference);
    text += "\n";
  }
  if (text.empty()) return;
  const std::filesystem::path folder = run_->file("samples");
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / fmt::format("step-{:06}.txt", step), text);
}

nlohmann::json validation_of(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "validation.json";
  if (!std::filesystem::exists(path)) return nullptr;
  return JsonReader::open(path, ErrorCode::invalid_model).json();
}

}  // namespace capdiff
