#pragma once

#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// The arithmetic that `--dtype auto` stands for, a fixed function of the processor's flags: bf16 where it has AMX for
/// it, otherwise f32.
DType automatic_compute_type();

}  // namespace capdiff
