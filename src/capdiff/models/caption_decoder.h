#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/models/bert.h"
#include "capdiff/nn/probe.h"

namespace capdiff {

struct CaptionDecoderConfig {
  BertConfig bert{.vocab_size = 30524, .type_vocab = 0};
  std::int64_t encoder_width = 768;  ///< Dv, width of the image tokens
  bool tied = true;                  ///< the table of words is the weight of the head's decoder as well
};

/// BLIP's text decoder (Li et al., arXiv 2201.12086): a BERT whose self-attention is causal, with cross-attention to
/// image tokens in every layer and the masked-language model's head, which here says the next token. Parameters under
/// `bert.embeddings`, `bert.encoder.layer.…` and `cls.predictions`.
class CaptionDecoder {
 public:
  CaptionDecoder(Backend& backend, const Scope& scope, const CaptionDecoderConfig& config);

  const CaptionDecoderConfig& config() const { return config_; }

  /// What the decoder needs to know of pictures: keys and values [B, N, hidden] of every layer, of tokens [B, N, Dv].
  std::vector<KeyValue> image(const Value& tokens) const;

  /// Logits [B, L, V], position l about token l + 1, of ids i64 [B, L]; `key_mask` f32 [B, L] is 0 on padding, or
  /// empty. B is a multiple of the pictures: equally many neighbouring rows for each. Probes `embeddings`,
  /// `layer{i}.self_attn`, `layer{i}.cross_attn`, `layer{i}` and `head_transform`.
  Value operator()(const Value& ids, const Value& key_mask, std::span<const KeyValue> image,
                   const Probe& probe = {}) const;

  /// Rows of text of one length, as keys and values of self-attention.
  struct Written {
    std::int64_t length = 0;
    std::vector<KeyValue> layers;

    /// The rows at `indices` i64 [n].
    Written gather(Backend& backend, const Value& indices) const;
  };
  /// Writes ids i64 [B, n] behind `written`, several only where it is empty. Logits [B, V] of the token that follows.
  Value extend(const Value& ids, Written& written, std::span<const KeyValue> image) const;

  /// Cross-entropy of the next tokens: `targets` i64 [B, L] are the ids, −1 where a token is given and not learnt, as
  /// padding and prompts are. `smoothing` as in `Backend::cross_entropy`.
  Value loss(const HostTensor& ids, const HostTensor& targets, std::span<const KeyValue> image, float smoothing) const;

 private:
  Backend* backend_;
  CaptionDecoderConfig config_;
  BertEmbeddings embeddings_;
  std::vector<PostNormBlock> layers_;
  LmHead head_;
};

}  // namespace capdiff
