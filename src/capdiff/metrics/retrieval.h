#pragma once

#include <cstdint>

#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// Recall at K of retrieval where query i looks for entry i: the share of queries with fewer than K other entries that
/// are at least as near. `nearness` f32 [N, N] has queries as rows and entries as columns.
double recall_at(const HostTensor& nearness, std::int64_t k);

}  // namespace capdiff
