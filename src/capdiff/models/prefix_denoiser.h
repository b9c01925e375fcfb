#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/models/prefix_mapper.h"
#include "capdiff/nn/layers.h"
#include "capdiff/nn/probe.h"
#include "capdiff/nn/transformer.h"

namespace capdiff {

struct PrefixDenoiserConfig {
  std::int64_t latent = 48;   ///< D, width of x_t
  std::int64_t hidden = 768;  ///< W
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t intermediate = 3072;
  std::int64_t max_position = 512;
  std::int64_t time_channels = 128;  ///< of the sinusoids; the MLP behind them is four times as wide
  float eps = 1e-12f;
  float dropout = 0.1f;
  float init_std = kInitStd;
  PrefixMapperConfig mapper;
};

/// What the denoiser needs to know of pictures: the prefix tokens [B, P, W], computed once per picture.
struct Prefix {
  Value tokens;
  std::int64_t batch() const { return tokens.shape()[0]; }
};

/// A part of a denoiser's batch: `rows` rows that see `prefix`, whose batch divides them.
struct PrefixedRows {
  std::int64_t rows = 0;
  const Prefix* prefix = nullptr;
};

/// Prefix-diffusion's denoiser (Liu et al., arXiv 2309.04965): a BERT encoder over the caption's positions and, beside
/// them in every step, the prefix tokens of the picture. Parameters have the names of the released code.
class PrefixDenoiser {
 public:
  PrefixDenoiser(Backend& backend, const Scope& scope, const PrefixDenoiserConfig& config);

  /// image_feature [B, F]. Probes `img_project` and `img_tokens` [B, P, W].
  Prefix prefix(const Value& image_feature, const Probe& probe = {}) const;

  /// x̂0 = f(x_t, t', prefix). x_t [B, L, D]; t' = 1000 t / T f32 [B]; the rows of `parts` add up to B → [B, L, D].
  /// Probes `time_sincos`, `time_embed`, `input_up_proj`, `text_tokens`, `layerN` [B, L + P, W] and `x0hat`.
  Value operator()(const Value& x_t, const HostTensor& scaled_time, std::span<const PrefixedRows> parts,
                   const Probe& probe = {}) const {
    return estimate(x_t, time(scaled_time, probe), parts, probe);
  }
  /// What the network is told of times t' f32 [n] → [n, W]. Probes `time_sincos` and `time_embed`.
  Value time(const HostTensor& scaled_time, const Probe& probe = {}) const;
  /// The same with that: time [B, W], or [1, W] for all rows.
  Value estimate(const Value& x_t, const Value& time, std::span<const PrefixedRows> parts,
                 const Probe& probe = {}) const;

  const PrefixDenoiserConfig& config() const { return config_; }
  std::int64_t prefix_length() const { return config_.mapper.prefix; }

 private:
  Value text_tokens(const Value& x_t, const Value& time, const Probe& probe) const;
  Value prefix_tokens(std::span<const PrefixedRows> parts) const;

  Backend* backend_;
  PrefixDenoiserConfig config_;
  PrefixMapper mapper_;
  Linear up_first_, up_second_, time_first_, time_second_, down_first_, down_second_;
  Embedding positions_, image_positions_, types_;
  LayerNorm text_norm_, image_norm_;
  std::vector<PostNormBlock> layers_;
};

/// Sinusoids of t f32 [B] → f32 [B, channels]: cosines of t ω_i in the first half, sines in the second, ω_i = 10000^(−i
/// / (channels / 2)), with the float32 rounding of ω_i and t ω_i that the published weights were trained with. A last
/// odd channel is 0.
HostTensor split_sinusoids(const HostTensor& t, std::int64_t channels);

}  // namespace capdiff
