#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "capdiff/captioners/captioner.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/formats/dataset.h"
#include "capdiff/training/objective.h"
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

/// The photos that a captioner in training is watched on, whole and in memory, with their captions.
struct ValidationPhotos {
  ValidationPhotos(const RunContext& run, const ValidationOptions& options);

  CaptionDataset dataset;  ///< pictures that have captions
  PhotoStore photos;       ///< in the same order
};

/// Watches how well a captioner in training captions photos that it does not learn from.
class CaptionValidation {
 public:
  /// `objective` has the loss of the photos as they are: without dropped photos and whatever else makes training
  /// harder. Everything must outlive the validation.
  CaptionValidation(const RunContext& run, const ValidationOptions& options, const ValidationPhotos& photos,
                    Objective& objective);

  /// CIDEr-D and BLEU-4 (raw, the captions cut by the PTB tokeniser) of the model folder that was exported from the
  /// present weights, and "loss", that of the objective under the same noise every time. Some captions go to
  /// samples/step-N.txt of the run folder.
  std::map<std::string, double> score(std::int64_t step, const std::filesystem::path& folder);

 private:
  std::vector<Caption> captions_of(const std::filesystem::path& folder) const;
  double loss() const;
  void write_samples(std::int64_t step, std::span<const Caption> captions) const;
  const CaptionedImage& image(std::size_t i) const { return photos_->dataset.images[places_[i]]; }

  const RunContext* run_;
  ValidationOptions options_;
  const ValidationPhotos* photos_;
  std::vector<std::size_t> places_;  // of the photos that can be read
  Objective* objective_;
};

}  // namespace capdiff
