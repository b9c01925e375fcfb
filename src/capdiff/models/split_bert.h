#pragma once

#include <optional>

#include "capdiff/models/bert.h"

namespace capdiff {

/// What the latents of [CLS], [SEP] and [PAD] are replaced with in x0.
enum class SpecialLatent {
  zeros,  ///< the empty latent 0 of the paper (section 4.2)
  dot,    ///< the encoder's hidden state of "." in "[CLS] . [SEP]", not normalised, as released
  kept,   ///< nothing: they keep their own hidden states, as before the reassignment of the paper's table 5
};

struct SplitBertConfig {
  BertConfig bert;
  std::int64_t encoder_layers = 6;  ///< the latent is the hidden state after this many layers
  std::int64_t decoder_layers = 6;  ///< upper layers that decode; 0 puts the LM head directly on the latent
  SpecialLatent special_latent = SpecialLatent::zeros;
  float target_dropout = 0.0f;  ///< of the lower layers while training, although they are frozen, as released
};

/// Ids of the vocabulary that the latent space treats specially.
struct SpecialIds {
  std::int64_t pad = 0, cls = 101, sep = 102, dot = 1012;
};

/// A batch of tokenised captions, row-major [B, L].
struct TokenBatch {
  HostTensor ids;   ///< i64 [B, L]
  HostTensor mask;  ///< f32 [B, L], 1 on [CLS], words and [SEP], 0 on [PAD]
};

/// LaDiC's latent space of text: BERT split in two. The lower layers encode a caption, normalised per feature by the
/// statistics of many captions; the upper layers and a language-model head decode all positions at once.
/// Parameter names: `space_encoder.…`, `space_decoder.encoder.layer.…`, `lm_head.…`; statistics `mean` and `std` [D].
class SplitBert {
 public:
  /// `statistics` is the scope of `mean` and `std`; `with_encoder` false leaves out what generation does not need.
  SplitBert(Backend& backend, const Scope& scope, const Scope& statistics, const SplitBertConfig& config,
            const SpecialIds& ids, bool with_encoder = true);

  /// Loads the lower layers after all; no effect where they are there. Until then `empty_latent` is 0.
  void load_encoder(const Scope& scope);

  /// Hidden states h [B, L, D] after `encoder_layers` layers; padding is never attended to.
  Value hidden(const TokenBatch& captions) const;
  /// x0 = (h − mean) / std with the special positions replaced [B, L, D] (paper section 4.2).
  Value encode(const TokenBatch& captions) const;
  /// What the special positions hold in x0 [D].
  const Value& empty_latent() const { return empty_; }
  /// Logits [B, L, V] of latents x0 [B, L, D]: LMHead(Upper(x0 · std + mean)).
  Value logits(const Value& x0) const;
  /// The hidden state of "." [D], not normalised.
  Value dot_latent() const;

  std::int64_t width() const { return config_.bert.hidden; }
  const SplitBertConfig& config() const { return config_; }

 private:
  Backend* backend_;
  SplitBertConfig config_;
  SpecialIds ids_;
  std::optional<BertEmbeddings> embeddings_;
  std::optional<BertLayers> lower_;
  BertLayers upper_;
  LmHead lm_head_;
  Value mean_, std_, inverse_std_;
  Value empty_;  ///< [D], the latent of special positions
};

/// f32 [B, L, 1]: 1 on the positions of [CLS], [SEP] and [PAD], 0 on words.
HostTensor special_positions(const TokenBatch& captions);

}  // namespace capdiff
