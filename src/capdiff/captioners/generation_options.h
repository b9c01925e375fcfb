#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "capdiff/captioners/trace.h"
#include "capdiff/diffusion/sampler.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/models/word_clamp.h"
#include "capdiff/selection/minimum_bayes_risk.h"

namespace capdiff {

/// How one caption is chosen among the candidates of a picture.
enum class Selection {
  first,
  mbr,   ///< the one that agrees best with the others
  clip,  ///< the one that CLIP finds nearest to the picture
};

Selection selection(std::string_view name);
std::string_view name_of(Selection selection);

/// How models that write from left to right choose words: one caption is the best that beam search finds, several are
/// drawn from the nucleus of what may follow. Lengths are in pieces of words.
struct LeftToRight {
  std::int64_t beams = 3;  ///< 1: greedy
  std::int64_t min_length = 1, max_length = 16;
  double length_penalty = 1.0;      ///< as in BeamSettings
  double repetition_penalty = 1.0;  ///< as in TokenRules
  bool sample = false;              ///< draw a single caption too
  double top_p = 0.9, temperature = 1.0;
};

/// A call of the network that has just been made, for whoever watches a caption come about.
struct WatchedCall {
  std::size_t call = 0;   ///< from 0
  std::size_t calls = 0;  ///< how many there will be at most
  /// How the first candidate of the first picture stands now. Asking costs a look at all words.
  std::function<TraceStep()> step;
};

/// How captions are drawn. Defaults are those of the model's `generation_config.json`.
struct GenerationOptions {
  std::int64_t steps = 30;
  SamplerKind sampler = SamplerKind::ddim;
  double eta = 0.0;
  double guidance = 1.0;  ///< w in x̂0 = (1 + w) f(x, image) − w f(x, nothing)
  /// Guidance acts where low · T ≤ t ≤ high · T (Kynkäänniemi et al., arXiv 2404.07724).
  double guidance_low = 0.0, guidance_high = 1.0;
  bool refine = false;                 ///< whether Back&Refine acts
  BackAndRefine back_and_refine = {};  ///< and how
  Clamping clamping = {};              ///< of methods whose latents are embeddings of words
  /// Of models that write from left to right, which have none of the above.
  std::optional<LeftToRight> left_to_right = {};
  std::uint64_t seed = 0;
  std::int64_t candidates = 1;
  Selection select = Selection::first;
  Utility utility = Utility::bleu;
  std::optional<std::int64_t> length = {};  ///< exactly so many words
  bool trace = false;                       ///< also tell how the caption came about
  std::string reference = {};               ///< a caption to measure the trace against; may be empty
  /// Called after every call of a network that denoises. What it throws ends the run and comes out of it.
  std::function<void(const WatchedCall&)> watch = {};
};

/// Whether captions are drawn from a nucleus rather than searched for.
bool samples(const LeftToRight& how, std::int64_t candidates);

/// Reads `generation_config.json` over `defaults`, which say whether the model denoises or writes from left to right.
GenerationOptions generation_options(const JsonReader& json, GenerationOptions defaults);
nlohmann::json to_json(const GenerationOptions& options);
/// The settings that decide a result, for signatures: "ddim | steps 30 | guidance 2 | seed 0 | …".
std::string describe(const GenerationOptions& options);

}  // namespace capdiff
