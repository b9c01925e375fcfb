#pragma once

#include <span>
#include <vector>

#include "capdiff/models/image_encoder.h"
#include "capdiff/nn/transformer.h"

namespace capdiff {

/// How the denoiser sees the picture.
enum class ImageConditioning {
  cross_attention,  ///< every layer attends to all image tokens
  image_token,      ///< one token of the pooled picture stands behind the caption: the baseline of the paper's table 5
};

struct LadicDenoiserConfig {
  std::int64_t latent = 768;   ///< D, width of x_t and of the self-condition
  std::int64_t hidden = 1536;  ///< W; where it is not 2 D, learned projections lead in and out
  std::int64_t layers = 12;
  std::int64_t heads = 16;
  std::int64_t intermediate = 3072;
  std::int64_t encoder_width = 768;  ///< Dv, width of the image tokens
  std::int64_t max_position = 512;
  std::int64_t time_steps = 1000;  ///< T, rows of the table of time embeddings
  float eps = 1e-12f;
  float dropout = 0.0f;
  bool time_layer_norm = true;
  ImageConditioning conditioning = ImageConditioning::cross_attention;
  float init_std = kInitStd;
};

/// What the denoiser needs to know of pictures: keys and values of every cross-attention layer, or a token. Computed
/// once per picture; that of the null picture once per process.
struct Condition {
  std::int64_t batch = 0;
  std::vector<KeyValue> layers;  ///< with cross-attention
  Value token;                   ///< [B, 1, W], with an image token

  /// All of that, one after the other, and a condition of it.
  std::vector<Value> values() const;
  static Condition of(std::span<const Value> values);
  /// This condition's pictures, then those of `other`.
  Condition followed_by(Backend& backend, const Condition& other) const;

  /// The condition of the pictures at `indices` i64 [n].
  Condition gather(Backend& backend, const Value& indices) const;
};

/// A part of a denoiser's batch: `rows` rows that look at `condition`, whose batch divides them.
struct ConditionedRows {
  std::int64_t rows = 0;
  const Condition* condition = nullptr;
};

/// LaDiC's diffuser (paper section 4.3): a BERT with cross-attention that predicts x0 for all positions at once.
/// Parameters under `diffuser`, and `time_layer_norm` beside it.
class LadicDenoiser {
 public:
  LadicDenoiser(Backend& backend, const Scope& scope, const LadicDenoiserConfig& config);

  Condition condition(const ImageTokens& image) const;

  /// x̂0 = f(x_t, p, t, image). x_t and self_condition [B, L, D]; t i64 [B]; the rows of `parts` add up to B → [B, L,
  /// D]. Probes `emb` and `layer.i` [B, L, W].
  Value operator()(const Value& x_t, const Value& self_condition, const Value& t,
                   std::span<const ConditionedRows> parts, const Probe& probe = {}) const {
    return estimate(x_t, self_condition, time(t), parts, probe);
  }
  /// What the network is told of times t i64 [n] → [n, W].
  Value time(const Value& t) const;
  /// The same with that: time [B, W], or [1, W] for all rows.
  Value estimate(const Value& x_t, const Value& self_condition, const Value& time,
                 std::span<const ConditionedRows> parts, const Probe& probe = {}) const;

  const LadicDenoiserConfig& config() const { return config_; }
  /// How many values a condition has.
  std::size_t condition_values() const { return appends_image() ? 1 : 2 * layers_.size(); }

 private:
  bool projects() const { return config_.hidden != 2 * config_.latent; }
  bool appends_image() const { return config_.conditioning == ImageConditioning::image_token; }
  /// One token of the pictures of `parts` for every row, [B, 1, W].
  Value image_tokens(std::span<const ConditionedRows> parts) const;

  Backend* backend_;
  LadicDenoiserConfig config_;
  Value time_table_;
  LayerNorm time_norm_, embedding_norm_;
  Embedding position_;
  Linear input_projection_, output_projection_, image_projection_;
  std::vector<PostNormBlock> layers_;
};

/// Interleaved sinusoids [steps, width]: τ[2k] = sin(t ω_k), τ[2k+1] = cos(t ω_k), ω_k = exp(−2k ln(10000) / width),
/// with the float32 rounding of ω_k and t ω_k that the published weights were trained with.
HostTensor time_embedding_table(std::int64_t steps, std::int64_t width);

}  // namespace capdiff
