#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "capdiff/captioners/captioner.h"
#include "capdiff/training/ladic_objective.h"
#include "capdiff/training/stages.h"

namespace capdiff {

/// The table [validation] of a recipe.
struct ValidationOptions {
  std::string split = "val";
  std::int64_t images = 200;  ///< the first so many of the split
  std::int64_t every = 0;     ///< steps of training; 0: with every checkpoint
  std::int64_t steps = 0;     ///< of the sampler; 0: as [generation] says
  std::int64_t samples = 8;   ///< photos whose captions are written down
};

ValidationOptions read_validation(const JsonReader& table);

/// Watches how well a captioner in training captions photos that it does not learn from.
class LadicValidation {
 public:
  /// Reads the photos. `model` is the one that learns, `backend` its backend; both must outlive the validation, as must
  /// the run and the tokeniser.
  LadicValidation(const RunContext& run, const ValidationOptions& options, const WordPieceTokenizer& tokenizer,
                  TorchBackend& backend, const LadicModel& model);

  /// CIDEr-D and BLEU-4 (raw, the captions cut by the PTB tokeniser) of the model folder that was exported from the
  /// present weights, and "loss", the training loss of the photos as they are, without dropped photos and
  /// self-conditioning, under the same noise every time. Some captions go to samples/step-N.txt of the run folder.
  std::map<std::string, double> score(std::int64_t step, const std::filesystem::path& folder);

 private:
  std::vector<Caption> captions_of(const std::filesystem::path& folder) const;
  double loss() const;
  void write_samples(std::int64_t step, std::span<const Caption> captions) const;

  const RunContext* run_;
  ValidationOptions options_;
  TorchBackend* backend_;
  std::vector<CaptionedImage> images_;  // those that can be read
  std::unique_ptr<PhotoStore> photos_;
  std::vector<std::int64_t> places_;  // of `images_` in `photos_`
  EncodedCaptions captions_;
  std::unique_ptr<LadicObjective> objective_;
};

/// What `export_model` left in a model folder: the step and the scores, or null.
nlohmann::json validation_of(const std::filesystem::path& folder);

}  // namespace capdiff
