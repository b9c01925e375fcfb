#pragma once

#include <memory>

#include "capdiff/captioners/ladic_config.h"
#include "capdiff/nn/parameters.h"

namespace capdiff {

/// What the LM head should say where captions have `ids` i64 [B, L].
HostTensor caption_targets(const HostTensor& ids, SpecialTargets special, const SpecialIds& special_ids);

/// Whether LaDiC's training changes a parameter, by its name: the diffuser and the LM head learn, the frozen halves of
/// BERT span the latent space (paper section 4.4).
bool learns(std::string_view parameter);

/// LaDiC's networks, assembled: image encoder, latent space of text and diffuser, and what training and sampling both
/// do with them.
class LadicModel {
 public:
  /// `parameters` provides the weights under their published names; `statistics.mean` and `statistics.std` those of the
  /// latent space. `with_text_encoder` false leaves out what generation does not need.
  LadicModel(Backend& backend, const ParameterStore& parameters, const LadicConfig& config, const SpecialIds& ids,
             bool with_text_encoder);

  /// Loads the text encoder after all: filling blanks and measuring against a reference need it.
  void load_text_encoder(const ParameterStore& parameters) { text_.load_encoder(Scope(parameters)); }

  const LadicConfig& config() const { return config_; }
  const ImageEncoder& image_encoder() const { return *image_encoder_; }
  const SplitBert& text() const { return text_; }
  const LadicDenoiser& denoiser() const { return denoiser_; }
  const NoiseSchedule& schedule() const { return schedule_; }

  /// The condition of no picture at all: a picture of the mean colour, zero once normalised.
  Condition null_condition() const;
  /// Guided estimate x̂0 = (1 + w) f(x_t, p, t, image) − w f(x_t, p, t, nothing); both branches run as one batch.
  /// x_t and p [B, L, D]; `time` is the denoiser's `time` of t, [1, W]. The rows of `parts` add up to 2 B, those with a
  /// picture first; where w is 0, to B.
  Value guided(const Value& x_t, const Value& self_condition, const Value& time, std::span<const ConditionedRows> parts,
               double guidance) const;
  /// Cross-entropy of the LM head's words for latents x0 [B, L, D] against the captions' tokens `ids` i64 [B, L].
  Value caption_loss(const Value& x0, const HostTensor& ids) const;

  struct Losses {
    Value latent, caption, total;  ///< scalars
  };
  /// total = latent + λ caption (paper section 4.4); `ids` i64 [B, L] are the captions' tokens.
  Losses losses(const Value& x0_predicted, const Value& x0, const HostTensor& ids) const;

 private:
  Backend* backend_;
  LadicConfig config_;
  SpecialIds ids_;
  std::unique_ptr<ImageEncoder> image_encoder_;
  SplitBert text_;
  LadicDenoiser denoiser_;
  NoiseSchedule schedule_;
};

}  // namespace capdiff
