#pragma once

#include <map>
#include <optional>

#include "capdiff/backends/metered_backend.h"

namespace capdiff {

/// What a backend does at best.
struct Ceilings {
  /// Seconds of a linear layer of this size that runs alone, again and again, so that its operands are in the caches
  /// where they fit.
  std::map<ProductShape, double> product_seconds;
  /// Bandwidth of memory: a sum of two tensors that no cache holds, three times its size.
  double bytes_per_second = 0.0;
};

/// Measures, with the backend's own operations in its own arithmetic, the ceilings of everything in `measured`. Takes
/// tenths of a second for each size of a product.
Ceilings measure_ceilings(Backend& backend, const Measurements& measured);

/// The least time of a stage: that of its products alone, or that of moving its bytes, whichever is longer (Williams,
/// Waterman and Patterson, "Roofline", CACM 2009).
struct StageCeiling {
  double matrix_seconds = 0.0;  ///< convolutions and attention at the rate of the stage's linear layers
  double memory_seconds = 0.0;

  double seconds() const { return matrix_seconds > memory_seconds ? matrix_seconds : memory_seconds; }
  bool bound_by_memory() const { return memory_seconds > matrix_seconds; }
};

/// Nothing for a stage without linear layers.
std::optional<StageCeiling> stage_ceiling(const StageTally& stage, const Ceilings& ceilings);

}  // namespace capdiff
