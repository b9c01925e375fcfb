#pragma once

#include <cstdint>

namespace capdiff {

/// What a `RandomStream` of training is for. Streams are keyed by (seed, purpose, index); the index is the number of
/// the sample within the run (`Sample::draw`) unless stated otherwise. The numbers are part of what makes a run
/// reproducible: never reuse one.
enum class RandomPurpose : std::uint32_t {
  shuffle = 1,           ///< the order of an epoch; index: epoch
  step = 2,              ///< the generator of the backend, for dropout; index: optimiser step; one number a batch of it
  augmentation = 3,      ///< crops, flips and colours of a picture
  caption = 4,           ///< which caption of a picture is taken
  time_step = 5,         ///< t
  noise = 6,             ///< epsilon
  image_drop = 7,        ///< whether the picture is withheld, for classifier-free guidance
  self_condition = 8,    ///< whether the denoiser sees its own estimate
  masking = 9,           ///< which tokens of a caption are masked
  initialisation = 10,   ///< first weights; index: number of the tensor
  embedding_noise = 11,  ///< of the embedded words of a caption
  data_share = 12,       ///< whether a picture is among those trained on; index: its number
};

}  // namespace capdiff
