#include "capdiff/training/model_keeper.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/training/trainer.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScores = "validation.json";

/// What a model folder says of its scores, or null.
nlohmann::json scores_of(const fs::path& folder) {
  if (!fs::exists(folder / kScores)) return nullptr;
  return JsonReader::open(folder / kScores, ErrorCode::invalid_model).json();
}

void copy_model(const fs::path& from, const fs::path& to) {
  AtomicFolder copy(to);
  for (const fs::directory_entry& entry : fs::directory_iterator(from))
    if (entry.is_regular_file()) fs::copy_file(entry.path(), copy.file(entry.path().filename().string()));
  copy.commit();
}

}  // namespace

ModelKeeper::ModelKeeper(RunContext& run, Export export_model)
    : export_(std::move(export_model)), best_(run.output("model")), last_(run.file("model-last")) {
  // What a run that began anew finds there is another run's.
  if (run.leads() && !fs::exists(run.trainer().checkpoints)) {
    fs::remove(best_ / kScores);
    fs::remove(last_ / kScores);
  }
}

void ModelKeeper::export_to(const fs::path& folder) const {
  export_(folder);
  fs::remove(folder / kScores);  // of the model that was there before
}

std::map<std::string, double> ModelKeeper::keep(std::int64_t step, CaptionValidation* validation) {
  last_step_ = step;
  if (!validation) {
    export_to(best_);
    return {};
  }
  export_to(last_);
  const std::map<std::string, double> scores = validation->score(step, last_);
  nlohmann::json record(scores);
  record["step"] = step;
  write_file_atomically(last_ / kScores, record.dump(2) + "\n");
  const nlohmann::json best = scores_of(best_);
  if (best.is_null() || scores.at("CIDEr-D") > best.value("CIDEr-D", 0.0)) copy_model(last_, best_);
  return scores;
}

void train_captioner(RunContext& run, Objective& objective, TorchBackend& backend,
                     const OptimisationOptions& optimisation, TrainerContext context, ModelKeeper::Export export_model,
                     const std::optional<ValidationOptions>& options, CaptionValidation* validation) {
  ModelKeeper keeper(run, std::move(export_model));
  context.validate_every = options && options->every > 0 ? options->every : optimisation.checkpoint_every;
  context.validate = [&](std::int64_t step) { return keeper.keep(step, validation); };
  const TrainingResult result = train(objective, backend, optimisation, context);
  if (run.leads() && keeper.last_step() != result.steps) keeper.keep(result.steps, validation);
}

}  // namespace capdiff
