#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capdiff/tensor/dtype.h"

namespace capdiff {

/// The arithmetic that `--dtype auto` stands for, a fixed function of the processor's flags: bf16 where it has AMX for
/// it, otherwise f32.
DType automatic_compute_type();

/// The arithmetic of that name, as `compute_name` spells it; whatever else, "auto", is the automatic one.
DType compute_type_of(std::string_view name);
/// How the command line spells an arithmetic: "f32", "bf16" or "int8".
std::string_view compute_name(DType compute);

/// "AMD EPYC 9B45", as the processor calls itself; empty where it does not say.
std::string processor_name();
/// Which of avx2, avx512, avx512_vnni, avx512_bf16, amx_bf16 and amx_int8 it has.
std::vector<std::string> processor_flags();

}  // namespace capdiff
