#pragma once

#include <cstdint>

#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// A ViT's table of positions for a grid of `side` x `side` patches, made of one [1, 1 + n², D] for n x n: the class
/// token's row stays, the others are interpolated by bicubic convolution with a = −0.75 between cells' centres, which
/// is what BLIP does with pictures of another size.
HostTensor resized_positions(const HostTensor& positions, std::int64_t side);

}  // namespace capdiff
