#pragma once

#include <memory>

#include "capdiff/backends/backend.h"
#include "capdiff/captioners/prefix_config.h"
#include "capdiff/models/clip.h"
#include "capdiff/models/prefix_denoiser.h"
#include "capdiff/models/word_space.h"
#include "capdiff/nn/parameters.h"

namespace capdiff {

/// Prefix-diffusion's networks, assembled: CLIP's image tower, words as latents, and denoiser; and what training and
/// sampling both do with them.
class PrefixModel {
 public:
  /// `parameters` provides the weights under the names of the released code, and those of CLIP's image tower below
  /// `visual`. `with_image_tower` false leaves that out, for features that are known.
  PrefixModel(Backend& backend, const ParameterStore& parameters, const PrefixConfig& config, bool with_image_tower);

  const PrefixConfig& config() const { return config_; }
  /// Side S of the pictures, in pixels.
  std::int64_t image_size() const { return config_.clip.image_size(); }
  const WordSpace& words() const { return words_; }
  const PrefixDenoiser& denoiser() const { return denoiser_; }
  const NoiseSchedule& schedule() const { return schedule_; }

  /// The image feature of pixels [B, 3, S, S] → [B, F], not normalised.
  Value image_feature(const Value& pixels) const;
  /// The prefix of no picture at all: that of the feature 0.
  Prefix null_prefix() const;

  /// Guided estimate (1 + w) f(x_t, t', image) − w f(x_t, t', nothing); both branches run as one batch. Without `null`
  /// there is no guidance. x_t [B, L, D]; `time` is the denoiser's `time` of t' = 1000 t / T, [1, W].
  Value guided(const Value& x_t, const Value& time, const Prefix& image, const Prefix* null, double guidance) const;

  /// What one step of training draws at random.
  struct Noise {
    HostTensor embedding;  ///< n1 f32 [B, L, D]
    HostTensor diffusion;  ///< n2 f32 [B, L, D]
    HostTensor t;          ///< i64 [B]
  };
  struct Losses {
    Value x0, x_t, x0_predicted;              ///< [B, L, D]
    Value denoising, rounding, prior, total;  ///< scalars; total is the sum of the three
  };
  /// The loss of captions `ids` i64 [B, L] (section 3 of the paper, after Diffusion-LM): with e = Emb(ids),
  ///   x0 = e + √(1 − ᾱ_0) n1,  x_t = √ᾱ_t x0 + √(1 − ᾱ_t) n2,
  ///   denoising = mean (x̂0 − x0)², and for t = 0 mean (x̂0 − e)²,
  ///   rounding = cross-entropy of the words of x0,  prior = mean (√ᾱ_{T−1} x0)².
  Losses losses(const HostTensor& ids, const Noise& noise, std::span<const PrefixedRows> parts) const;

 private:
  Backend* backend_;
  PrefixConfig config_;
  std::unique_ptr<ImageTower> image_tower_;
  WordSpace words_;
  PrefixDenoiser denoiser_;
  NoiseSchedule schedule_;
};

/// t' = 1000 t / T: the time that the denoiser is told, for t i64 [B] of a table of T levels → f32 [B].
HostTensor scaled_times(const HostTensor& t, std::int64_t time_steps);

}  // namespace capdiff
