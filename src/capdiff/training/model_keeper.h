#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "capdiff/training/caption_validation.h"
#include "capdiff/training/optimisation_options.h"
#include "capdiff/training/stages.h"

namespace capdiff {

/// Exports the models of a run. Without validation model/ is the newest. With it, model/ is the one with the best
/// CIDEr-D so far and model-last/ the newest, and each has its scores and its step in `validation.json`.
class ModelKeeper {
 public:
  /// Writes the present weights as a model folder.
  using Export = std::function<void(const std::filesystem::path& folder)>;

  ModelKeeper(RunContext& run, Export export_model);

  /// Exports the present weights, and returns their scores where there is a validation.
  std::map<std::string, double> keep(std::int64_t step, CaptionValidation* validation);
  /// The step of the last model that this process exported, or −1.
  std::int64_t last_step() const { return last_step_; }

 private:
  void export_to(const std::filesystem::path& folder) const;

  Export export_;
  std::filesystem::path best_, last_;
  std::int64_t last_step_ = -1;
};

/// Trains a captioner: `train` with a ModelKeeper. `options` is what the recipe says of validation, and `validation`
/// does it; the leader alone needs one.
void train_captioner(RunContext& run, Objective& objective, TorchBackend& backend,
                     const OptimisationOptions& optimisation, TrainerContext context, ModelKeeper::Export export_model,
                     const std::optional<ValidationOptions>& options, CaptionValidation* validation);

}  // namespace capdiff
