#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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

class ClipSelector;

struct Candidate {
  std::string text;
  /// Mean log-probability of the chosen pieces; of a caption that beam search found, the score that it went by.
  double score = 0.0;
  std::uint64_t seed = 0;
  /// What the selection says for it: the cosine of CLIP, or the mean utility for the others; nothing where none chose.
  std::optional<double> relevance = {};
  /// What stands at its positions, special tokens included, and how certain the model is of each; empty where a method
  /// does not say.
  std::vector<TracedPiece> pieces = {};
};

/// The caption of one picture, chosen among its candidates.
struct Caption {
  std::string text;
  std::vector<Candidate> candidates;  ///< in the order in which they were drawn
  CaptionTrace trace;                 ///< of the first candidate; empty unless it was asked for
};

/// What orders candidates: their relevance or, where nothing chose, their score.
double rank_of(const Candidate& candidate);
/// The candidates, the most relevant first, equals in the order in which they were drawn.
std::vector<Candidate> most_relevant_first(const Caption& caption);

/// Turns pictures into captions. LaDiC, Prefix-diffusion and the autoregressive baseline are captioners.
class Captioner {
 public:
  virtual ~Captioner() = default;

  /// One caption per picture, in order, chosen among its candidates as `options.select` says. What a picture gets does
  /// not depend on the others (see `BackendOptions::deterministic` for how exactly). Choosing by CLIP without one is an
  /// `Error(usage)`.
  std::vector<Caption> caption(std::span<const Image> images, const GenerationOptions& options);
  /// The CLIP that `Selection::clip` chooses with.
  void select_with(std::shared_ptr<const ClipSelector> clip) { clip_ = std::move(clip); }
  /// Puts words into the blanks of a sentence about a picture, one a blank; the given words stay as they are. Where a
  /// blank may have several lengths, all are tried and the most confident is taken. `candidates` are drawn for each.
  virtual Caption fill(const Image& image, const CaptionTemplate& sentence, const GenerationOptions& options) = 0;
  /// The model's own defaults.
  virtual const GenerationOptions& defaults() const = 0;
  /// The most words that a caption of it can have.
  virtual std::int64_t max_words() const = 0;

 protected:
  /// `options.candidates` candidates of each picture, and the trace of the first where one is asked for. There is at
  /// least one picture; which candidate is the caption does not matter here.
  virtual std::vector<Caption> draw(std::span<const Image> images, const GenerationOptions& options) = 0;

 private:
  std::shared_ptr<const ClipSelector> clip_;
};

/// The settings of a model folder's `generation_config.json` over those of its method.
GenerationOptions folder_generation(const ModelFolder& folder, const GenerationOptions& defaults);
/// How a model folder prepares pictures; an Error(invalid_model) where they do not have the side `image_size`.
Preprocessor folder_preprocessor(const ModelFolder& folder, const Preprocessor& otherwise, std::int64_t image_size);

/// Loads the captioner that the folder's `model_type` names.
std::unique_ptr<Captioner> load_captioner(const ModelFolder& folder, Backend& backend);

}  // namespace capdiff
