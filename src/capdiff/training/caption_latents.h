#pragma once

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/models/split_bert.h"
#include "capdiff/training/caption_tokens.h"

namespace capdiff {

/// x0 of all captions in a latent space that does not learn, computed once for a whole run: f32 [N, L, D]. Throws
/// `Error(usage)` where the latents of training are not fixed, for dropout in the lower layers.
HostTensor caption_latents(TorchBackend& backend, const SplitBert& text, const EncodedCaptions& captions);

}  // namespace capdiff
