#pragma once

#include "capdiff/models/split_bert.h"
#include "capdiff/training/caption_tokens.h"

namespace capdiff {

/// Mean and standard deviation (unbiased) of each latent feature, f32 [D].
struct LatentStatistics {
  HostTensor mean, std;
};

/// Over the word positions of the captions at `indices`: [CLS], [SEP] and [PAD] have the empty latent 0 and would
/// only distort the scale. Hidden states are read before normalisation, so the
/// statistics that `text` itself was made with do not matter.
LatentStatistics latent_statistics(Backend& backend, const SplitBert& text, const EncodedCaptions& captions,
                                   std::span<const std::int64_t> indices);

}  // namespace capdiff
