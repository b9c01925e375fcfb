#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/metrics/retrieval.h"
#include "capdiff/training/augment_options.h"
#include "capdiff/training/clip_objective.h"
#include "capdiff/training/model_files.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/training_captions.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRetrievedAtOnce = 64;
constexpr std::string_view kClipEncoder = "visual.encoder.";

struct RetrievalOptions {
  std::string split = "val";
  std::int64_t images = 1000;  ///< the first so many of the split
  std::int64_t every = 0;      ///< steps of training; 0: with every checkpoint
};

struct ClipStage {
  OptimisationOptions optimisation;
  ClipTrainingOptions training;
  bool cache_photos = false;  ///< encode every photo once: for a frozen encoder, without augmentation
  double encoder_rate = 1.0;  ///< share of the learning rate that the image encoder gets
  std::optional<RetrievalOptions> validation;
};

ClipConfig recipe_clip(const Recipe& recipe) {
  const JsonReader model = recipe.table("model");
  ClipConfig config = ClipConfig::from_json(model);
  if (!config.encoder || config.text.tokens != ClipTokens::wordpiece)
    fail(ErrorCode::usage,
         "{}: the stage [clip] trains one of the image encoders (model.image_encoder.type) with WordPieces "
         "(model.text_encoder.tokenizer = \"wordpiece\")",
         model.source());
  return config;
}

RetrievalOptions read_retrieval(const JsonReader& table) {
  RetrievalOptions options;
  options.split = table.get_string("split", options.split);
  options.images = table.get_int("images", 1, 1 << 20, options.images);
  options.every = table.get_int("every", 1, 1'000'000'000, options.every);
  table.reject_unknown_keys();
  return options;
}

ClipStage read_clip(const Recipe& recipe, const JsonReader& table) {
  ClipStage stage;
  stage.optimisation = read_optimisation(table);
  ClipTrainingOptions& training = stage.training;
  training.train_image_encoder = table.get_bool("train_image_encoder", training.train_image_encoder);
  training.word_drop = table.get_number("word_drop", 0.0, 1.0, training.word_drop);
  training.seed = recipe.seed();
  stage.cache_photos = table.get_bool("cache_photos", stage.cache_photos);
  if (stage.cache_photos)
    training.augment = std::nullopt;
  else
    training.augment = read_augment_options(table);
  if (stage.cache_photos && training.train_image_encoder)
    fail(ErrorCode::usage, "{}: clip.cache_photos needs an image encoder that does not learn", table.source());
  stage.encoder_rate = table.get_number("image_encoder_rate", 0.0, 1.0, stage.encoder_rate);
  table.reject_unknown_keys();
  if (recipe.has("validation")) stage.validation = read_retrieval(recipe.table("validation"));
  recipe_clip(recipe);
  return stage;
}

/// The run's own vocabulary, or that of [from] text.
Vocabulary clip_vocabulary(const RunContext& run, const ClipConfig& config) {
  fs::path path = run.file("vocab.txt");
  if (const auto folder = run.from().part("text"); folder && !fs::exists(path)) path = *folder / "vocab.txt";
  Vocabulary vocabulary = Vocabulary::load(path);
  if (vocabulary.size() != config.text.vocab_size)
    fail(ErrorCode::usage, "{}: {} pieces, but the recipe has model.text_encoder.vocab_size = {}", path.string(),
         vocabulary.size(), config.text.vocab_size);
  return vocabulary;
}

/// The image encoder of [from] under the names that it has in a CLIP, and the seed for all others.
ParameterStore clip_parameters(const RunContext& run) {
  constexpr std::string_view kPrefix = "visual_encoder.";
  ParameterStore parameters;
  if (const auto file = run.from().weights("image_encoder"))
    add_tensors(parameters, *file, [&](const std::string& stored) {
      const std::string name = image_encoder_name(stored);
      return name.empty() ? name : std::string(kClipEncoder) + name.substr(kPrefix.size());
    });
  parameters.initialise_missing(run.seed());
  return parameters;
}

Preprocessor clip_preprocessor(const ClipConfig& config) {
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(config.image_size());
  return preprocessor;
}

/// Photos with captions, in memory.
struct ClipPhotos {
  /// `what` is what errors call them.
  ClipPhotos(const DataOptions& data, const CaptionDataset& dataset, int max_side, EncodedCaptions& captions,
             const std::string& what)
      : photos(recipe_photos(data, dataset), max_side, at::get_num_threads()),
        items(encoded_photos(dataset, photos, captions, what)) {}

  PhotoStore photos;
  std::vector<CaptionedPhoto> items;
};

/// Finds photos by the first of their captions, and the captions by the photos.
class ClipRetrieval {
 public:
  ClipRetrieval(const RunContext& run, const RetrievalOptions& options, const WordPieceTokenizer& tokenizer,
                const ClipConfig& config, TorchBackend& backend, const ClipModel& model)
      : backend_(backend),
        model_(model),
        preprocessor_(clip_preprocessor(config)),
        captions_(tokenizer, config.text.length),
        photos_(run.data(), first_captioned(recipe_dataset(run.data(), {options.split}), options.images),
                preprocessor_.size, captions_, "split \"" + options.split + '"') {
    spdlog::info("validation: {} photos of split {}", photos_.items.size(), options.split);
  }

  std::map<std::string, double> score() const {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> images, texts;
    const auto count = static_cast<std::int64_t>(photos_.items.size());
    for (std::int64_t begin = 0; begin < count; begin += kRetrievedAtOnce) {
      std::vector<Image> pictures;
      std::vector<std::int64_t> captions;
      for (std::int64_t i = begin; i < std::min(begin + kRetrievedAtOnce, count); ++i) {
        const CaptionedPhoto& item = photos_.items[static_cast<std::size_t>(i)];
        pictures.push_back(photos_.photos.photo(item.photo));
        captions.push_back(item.captions.front());
      }
      const Value pixels = backend_.upload(preprocessor_.batch(pictures));
      images.push_back(
          TorchBackend::tensor(model_.image_features(model_.image_tower().encoder().encode(pixels).pooled)));
      texts.push_back(TorchBackend::tensor(model_.text_features(captions_.batch(captions))));
    }
    const torch::Tensor cosines = torch::matmul(torch::cat(images), torch::cat(texts).t());
    const HostTensor of_photos = backend_.download(TorchBackend::value(cosines));
    const HostTensor of_captions = backend_.download(TorchBackend::value(cosines.t().contiguous()));
    std::map<std::string, double> scores;
    double sum = 0;
    for (const std::int64_t k : {1, 5, 10}) {
      sum += scores["captions_of_photos_" + std::to_string(k)] = recall_at(of_photos, k);
      sum += scores["photos_of_captions_" + std::to_string(k)] = recall_at(of_captions, k);
    }
    scores["mean_recall"] = sum / 6.0;
    return scores;
  }

 private:
  TorchBackend& backend_;
  const ClipModel& model_;
  Preprocessor preprocessor_;
  EncodedCaptions captions_;
  ClipPhotos photos_;
};

/// Keeps clip/: the newest weights, or with validation those with the best mean recall so far.
class ClipKeeper {
 public:
  ClipKeeper(RunContext& run, const ClipConfig& config, const Vocabulary& vocabulary, const TorchBackend& backend)
      : config_(config), vocabulary_(vocabulary), backend_(backend), folder_(run.output("clip")) {
    const fs::path record = folder_ / "validation.json";
    const bool goes_on = fs::exists(run.trainer().checkpoints);
    if (goes_on && fs::exists(record)) best_ = JsonReader::open(record).get_number("mean_recall", 0.0, 1.0);
  }

  std::map<std::string, double> keep(std::int64_t step, const ClipRetrieval* validation) {
    last_step_ = step;
    if (!validation) {
      write(nullptr);
      return {};
    }
    const std::map<std::string, double> scores = validation->score();
    const auto percent = [&](const char* name) { return 100.0 * scores.at(name); };
    spdlog::info(
        "validation, step {}: recall at 1, 5, 10 of captions {:.1f} {:.1f} {:.1f}, of photos {:.1f} {:.1f} {:.1f}",
        step, percent("captions_of_photos_1"), percent("captions_of_photos_5"), percent("captions_of_photos_10"),
        percent("photos_of_captions_1"), percent("photos_of_captions_5"), percent("photos_of_captions_10"));
    if (scores.at("mean_recall") > best_) {
      best_ = scores.at("mean_recall");
      nlohmann::json record(scores);
      record["step"] = step;
      write(record);
    }
    return scores;
  }

  /// The step of the last call of `keep`, or −1.
  std::int64_t last_step() const { return last_step_; }

 private:
  void write(const nlohmann::json& scores) const {
    AtomicFolder out(folder_);
    write_weights(out, clip_weights(backend_.state()));
    vocabulary_.save(out.file("vocab.txt"));
    write_json(out.file("config.json"), config_.to_json());
    write_json(out.file("preprocessor_config.json"), to_json(clip_preprocessor(config_)));
    if (!scores.is_null()) write_json(out.file("validation.json"), scores);
    out.commit();
    if (scores.is_null()) fs::remove(folder_ / "validation.json");  // of a model that was there before
  }

  const ClipConfig& config_;
  const Vocabulary& vocabulary_;
  const TorchBackend& backend_;
  fs::path folder_;
  double best_ = -1;
  std::int64_t last_step_ = -1;
};

void run_clip(RunContext& run, const ClipStage& stage) {
  const ClipConfig config = recipe_clip(run.recipe());
  const WordPieceTokenizer tokenizer(clip_vocabulary(run, config));
  const Preprocessor preprocessor = clip_preprocessor(config);
  EncodedCaptions captions(tokenizer, config.text.length);
  ClipPhotos data(run.data(), training_dataset(run.data()), 2 * preprocessor.size, captions, "the training set");
  spdlog::info("clip: {} photos, {} captions", data.items.size(), captions.size());

  const ParameterStore parameters = clip_parameters(run);
  const auto backend = run.make_backend();
  backend->set_trainable([&stage](const std::string& name) {
    return stage.training.train_image_encoder || !name.starts_with(kClipEncoder);
  });
  const ClipModel model(*backend, parameters, config);
  std::optional<PhotoFeatures> features;
  if (stage.cache_photos) features = photo_features(*backend, model.image_tower().encoder(), preprocessor, data.photos);
  ClipObjective objective(*backend, model, preprocessor, data.photos, std::move(data.items), captions,
                          tokenizer.vocabulary(), stage.training, features ? &*features : nullptr);
  TrainerContext context = run.trainer();
  context.rate = [&stage](const std::string& name) {
    return name.starts_with(kClipEncoder) ? stage.encoder_rate : 1.0;
  };
  ClipKeeper keeper(run, config, tokenizer.vocabulary(), *backend);
  std::optional<ClipRetrieval> validation;
  context.validate_every = stage.optimisation.checkpoint_every;
  if (stage.validation) {
    if (run.leads()) validation.emplace(run, *stage.validation, tokenizer, config, *backend, model);
    if (stage.validation->every > 0) context.validate_every = stage.validation->every;
  }
  const auto keep = [&](std::int64_t step) { return keeper.keep(step, validation ? &*validation : nullptr); };
  context.validate = keep;
  const TrainingResult result = train(objective, *backend, stage.optimisation, context);
  if (run.leads() && keeper.last_step() != result.steps) keep(result.steps);
}

}  // namespace

Stage clip_stage() {
  return Stage::of("clip", read_clip, run_clip, /*shared=*/true);
}

}  // namespace capdiff
