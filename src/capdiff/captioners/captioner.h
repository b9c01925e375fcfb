#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/formats/model_folder.h"
#include "capdiff/image/preprocess.h"

namespace capdiff {

/// How captions are drawn. Defaults are those of the model's `generation_config.json`.
struct GenerationOptions {
  std::int64_t steps = 30;
  double guidance = 1.0;  ///< w in x̂0 = (1 + w) f(x, image) − w f(x, nothing)
  std::uint64_t seed = 0;
  std::int64_t candidates = 1;
};

struct Candidate {
  std::string text;
  double score = 0.0;  ///< mean log-probability of the chosen pieces
  std::uint64_t seed = 0;
};

/// The caption of one picture, chosen among its candidates.
struct Caption {
  std::string text;
  std::vector<Candidate> candidates;
};

/// Turns pictures into captions. LaDiC, Prefix-diffusion and the autoregressive baseline are captioners.
class Captioner {
 public:
  virtual ~Captioner() = default;

  /// One caption per picture, in order. What a picture gets does not depend on the others (see
  /// `BackendOptions::deterministic` for how exactly).
  virtual std::vector<Caption> caption(std::span<const Image> images, const GenerationOptions& options) = 0;
  /// The model's own defaults.
  virtual const GenerationOptions& defaults() const = 0;
};

/// Loads the captioner that the folder's `model_type` names.
std::unique_ptr<Captioner> load_captioner(const ModelFolder& folder, Backend& backend);

}  // namespace capdiff
