#pragma once

#include <cstdint>

#include "capdiff/backends/backend.h"
#include "capdiff/nn/layers.h"
#include "capdiff/nn/parameters.h"

namespace capdiff {

/// How a latent is compared with the words of the vocabulary.
enum class WordLogits {
  dot,       ///< x · w + b, the head tied to the embedding
  distance,  ///< −‖x − w‖₂; only for reading latents, not for training
};

struct WordSpaceConfig {
  std::int64_t vocab_size = 14145;  ///< V
  std::int64_t width = 48;          ///< D
  WordLogits logits = WordLogits::dot;
};

/// Prefix-diffusion's latent space of text: a learned embedding of words, and a head tied to it that rounds latents
/// to words (Li et al., Diffusion-LM, arXiv 2205.14217, section 4.2). Parameters `word_embedding.weight` [V, D], from
/// N(0, 1), and `lm_head.bias` [V].
class WordSpace {
 public:
  WordSpace(Backend& backend, const Scope& scope, const WordSpaceConfig& config);

  /// ids i64 [B, L] → [B, L, D]
  Value embed(const Value& ids) const { return embedding_(ids); }
  /// x0 [B, L, D] → [B, L, V]
  Value logits(const Value& x0) const;
  /// The head's logits whatever the configuration says, with the history of both: what training rounds with.
  Value dot_logits(const Value& x0) const { return backend_->linear(x0, head_); }
  /// f32 [V, D], the embeddings as they are now.
  HostTensor table() const { return backend_->download(embedding_.table()); }

  std::int64_t width() const { return config_.width; }
  const WordSpaceConfig& config() const { return config_; }

 private:
  Backend* backend_;
  WordSpaceConfig config_;
  Embedding embedding_;
  Packed head_;
};

/// −‖x − w‖₂ of latents f32 [..., D] and words f32 [V, D] → f32 [..., V].
HostTensor negative_distances(const HostTensor& x, const HostTensor& words);

}  // namespace capdiff
