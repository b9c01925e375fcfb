#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/diffusion/noise_schedule.h"
#include "capdiff/diffusion/sampler.h"
#include "capdiff/text/encoded_text.h"

namespace capdiff {

/// Where the words of a caption stand among its positions, and what tokens mean.
struct CaptionLayout {
  std::int64_t length = 0;                  ///< L, positions
  std::int64_t width = 0;                   ///< D, of their latents
  std::vector<std::int64_t> before, after;  ///< tokens in front of the first word and behind the last one
  std::int64_t padding = 0;                 ///< the token of all positions behind
  std::int64_t unknown = 0;                 ///< the token of a blank
  std::vector<bool> whole_words;            ///< [V], as `whole_words`

  std::int64_t max_words() const {
    return length - static_cast<std::int64_t>(before.size()) - static_cast<std::int64_t>(after.size());
  }
};

/// The noise levels that a sampler visits, from high to low.
struct NoiseLevels {
  NoiseSchedule schedule;
  std::vector<std::int64_t> times;
  std::int64_t time_shift = 0;  ///< as in SamplerConfig

  /// What the network is told there.
  std::vector<std::int64_t> told_times() const;
};

/// The road that captioners by diffusion share: the noise of each picture → sampler → logits → words; freely, of a
/// fixed length, or in the blanks of a sentence. What a latent is, and how the network sees a picture, is the method's.
class DiffusionCaptioner : public Captioner {
 public:
  Caption fill(const Image& image, const CaptionTemplate& sentence, const GenerationOptions& options) final;
  const GenerationOptions& defaults() const final { return defaults_; }
  std::int64_t max_words() const final { return layout_.max_words(); }

  /// L: positions that are computed for every caption, its words and the tokens around them.
  std::int64_t positions() const { return layout_.length; }
  /// Computes another number than the model was trained with, to see what it costs. Throws `Error(usage)` where no word
  /// would fit; more than the network has are refused when captions are drawn.
  void set_positions(std::int64_t positions);

 protected:
  DiffusionCaptioner(Backend& backend, CaptionLayout layout, GenerationOptions defaults)
      : backend_(&backend), layout_(std::move(layout)), defaults_(std::move(defaults)) {}

  std::vector<Caption> draw(std::span<const Image> images, const GenerationOptions& options) final;

  virtual NoiseLevels noise_levels(const GenerationOptions& options) const = 0;
  /// The network for captions of `images`, as many rows for each as there are noises; guided as `options` say. Throws
  /// `Error(unsupported)` for options that the method does not have.
  virtual DenoiseStep denoiser(std::span<const Image> images, const NoiseLevels& levels,
                               const GenerationOptions& options) = 0;
  /// Logits [B, L, V] of latents [B, L, D].
  virtual Value logits(const Value& x0) const = 0;
  /// Latents [B, L, D] of tokens i64 [B, L].
  virtual Value latents(const HostTensor& tokens) = 0;
  /// The latent [D] of the positions without words; Error(unsupported) where a method has no such thing.
  virtual Value latent_of_padding() = 0;

  /// The tokens of a piece of text.
  virtual std::vector<std::int64_t> tokens_of(const std::string& text) const = 0;
  virtual const std::string& token(std::int64_t id) const = 0;
  /// The words of tokens [L], as they would read now.
  virtual std::string raw_text(std::span<const std::int64_t> tokens) const = 0;
  /// The same as people are shown it.
  virtual std::string caption_text(std::span<const std::int64_t> tokens) const = 0;

  Backend& backend() const { return *backend_; }
  const CaptionLayout& layout() const { return layout_; }

 private:
  /// Which noise a row of a batch is drawn from.
  struct Row {
    std::uint64_t content = 0;  ///< of its picture
    std::uint32_t candidate = 0;
  };
  /// What comes out of the sampler: logits [rows, L, V], and a trace a row where it was asked for.
  struct Drawn {
    Value logits;
    std::vector<CaptionTrace> traces;
  };
  /// One choice of lengths for the blanks of a sentence.
  struct Filling {
    std::vector<std::int64_t> lengths;  ///< words of each blank
    std::vector<std::int64_t> tokens;   ///< [L], unknown in the blanks
    std::vector<std::size_t> blanks;    ///< their positions
  };
  class PictureNoise;

  static std::vector<Row> rows_of(std::span<const Image> images, std::int64_t count_each);
  Drawn walk(std::span<const Image> images, std::span<const Row> rows, const std::optional<KnownPositions>& known,
             const GenerationOptions& options);
  /// A row's step of a call of the network, by its logits [L, V].
  TraceStep traced(const SamplerCall& call, std::span<const float> logits, std::size_t row) const;
  /// Adds what a call of the network tells to every row's trace.
  void trace(const SamplerCall& call, const HostTensor& reference, std::vector<CaptionTrace>& traces) const;
  /// The latent of options.reference [L, D], or an empty tensor.
  HostTensor reference_latent(const GenerationOptions& options);
  /// Everything but `words` positions holds the latent of padding, for `rows` rows.
  KnownPositions fixed_length(std::int64_t words, std::int64_t rows);

  /// All choices of lengths that fit the model; an Error(usage) if none does.
  std::vector<Filling> fillings(const CaptionTemplate& sentence) const;
  /// Everything but the blanks, `candidates` rows for every choice.
  KnownPositions given_words(std::span<const Filling> fillings, std::int64_t candidates);
  /// The sentence with the best words in its blanks, from left to right; the score is the mean log-probability of
  /// those.
  Candidate filled(const CaptionTemplate& sentence, const Filling& filling, std::span<const float> logits,
                   std::uint64_t seed) const;

  /// The likeliest token of every position, and how probable each is.
  Candidate free_caption(std::span<const std::int64_t> ids, std::span<const float> probabilities,
                         const GenerationOptions& options) const;
  Candidate caption_of_length(std::span<const float> logits, const GenerationOptions& options) const;

  Backend* backend_;
  CaptionLayout layout_;
  GenerationOptions defaults_;
};

}  // namespace capdiff
