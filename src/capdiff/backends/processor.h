#pragma once

#include <string_view>

#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// The arithmetic that `--dtype auto` stands for, a fixed function of the processor's flags: bf16 where it has AMX for
/// it, otherwise f32.
DType automatic_compute_type();

/// How the command line spells an arithmetic: "f32", "bf16" or "int8".
std::string_view compute_name(DType compute);

}  // namespace capdiff
