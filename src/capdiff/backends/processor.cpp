#include "capdiff/backends/processor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace capdiff {

DType automatic_compute_type() {
#if defined(__x86_64__)
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kAmxBf16) && (d & kAmxTile)) return DType::bf16;
#endif
  return DType::f32;
}

std::string_view compute_name(DType compute) {
  return compute == DType::bf16 ? "bf16" : compute == DType::i8 ? "int8" : "f32";
}

}  // namespace capdiff
