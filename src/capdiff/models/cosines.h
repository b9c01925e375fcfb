#pragma once

#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// The cosines f32 [N, M] between the rows of two matrices f32 [N, D] and [M, D], whose rows have length 1. Sums are in
/// double precision.
HostTensor cosines(const HostTensor& a, const HostTensor& b);

}  // namespace capdiff
