#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/captioners/generation_options.h"
#include "capdiff/captioners/trace.h"
#include "capdiff/formats/model_folder.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/caption_template.h"

namespace capdiff {

struct Candidate {
  std::string text;
  double score = 0.0;  ///< mean log-probability of the chosen pieces
  std::uint64_t seed = 0;
};

/// The caption of one picture, chosen among its candidates.
struct Caption {
  std::string text;
  std::vector<Candidate> candidates;
  CaptionTrace trace;  ///< of the first candidate; empty unless it was asked for
};

/// Turns pictures into captions. LaDiC, Prefix-diffusion and the autoregressive baseline are captioners.
class Captioner {
 public:
  virtual ~Captioner() = default;

  /// One caption per picture, in order. What a picture gets does not depend on the others (see
  /// `BackendOptions::deterministic` for how exactly).
  virtual std::vector<Caption> caption(std::span<const Image> images, const GenerationOptions& options) = 0;
  /// Puts words into the blanks of a sentence about a picture, one a blank; the given words stay as they are. Where a
  /// blank may have several lengths, all are tried and the most confident is taken. `candidates` are drawn for each.
  virtual Caption fill(const Image& image, const CaptionTemplate& sentence, const GenerationOptions& options) = 0;
  /// The model's own defaults.
  virtual const GenerationOptions& defaults() const = 0;
};

/// Loads the captioner that the folder's `model_type` names.
std::unique_ptr<Captioner> load_captioner(const ModelFolder& folder, Backend& backend);

}  // namespace capdiff
