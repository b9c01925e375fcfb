#pragma once

#include <bit>
#include <cstdint>

/// Compiles a function once per level of the x86-64 architecture (v4: AVX-512, v3: AVX2 and FMA) and picks the widest
/// that the processor has when the program is loaded.
#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__clang__)
#define CAPDIFF_SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
/// Compile a function for AVX-512 alone; whoever calls it asks the processor first.
#define CAPDIFF_SIMD_AVX512 __attribute__((target("arch=x86-64-v4")))
#define CAPDIFF_SIMD_AVX512_BF16 __attribute__((target("arch=x86-64-v4,avx512bf16")))
#else
#define CAPDIFF_SIMD_CLONES
#endif

namespace capdiff::onednn {

/// Whether the processor runs what is compiled with CAPDIFF_SIMD_AVX512, and with CAPDIFF_SIMD_AVX512_BF16.
#ifdef CAPDIFF_SIMD_AVX512
inline bool has_avx512() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return has;
}
inline bool has_avx512_bf16() {
  static const bool has = has_avx512() && __builtin_cpu_supports("avx512bf16");
  return has;
}
#else
inline bool has_avx512() {
  return false;
}
inline bool has_avx512_bf16() {
  return false;
}
#endif

/// exp(x) to about 1 ulp by Taylor's series on |r| ≤ ln 2 / 2, where x = n ln 2 + r. Arguments below −87 give exp(−87)
/// (1.6e-38), those above 88 give exp(88); NaN stays NaN. Without branches, so that loops over it vectorise.
[[gnu::always_inline]] inline float exp_simd(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  constexpr float kLog2e = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // few bits, so that n · kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 12582912.0f;  // 1.5 · 2²³: adding it leaves n in the lowest bits of the mantissa
  const float shifted = x * kLog2e + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float series = 1.0f / 5040.0f;
  series = series * r + 1.0f / 720.0f;
  series = series * r + 1.0f / 120.0f;
  series = series * r + 1.0f / 24.0f;
  series = series * r + 1.0f / 6.0f;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  const std::uint32_t power = (std::bit_cast<std::uint32_t>(shifted) << 23) + 0x3f800000u;
  return series * std::bit_cast<float>(power);
}

/// erf(x) to 1.5e-7: formula 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical Functions.
[[gnu::always_inline]] inline float erf_simd(float x) {
  const float a = x < 0.0f ? -x : x;
  const float t = 1.0f / (1.0f + 0.3275911f * a);
  float series = 1.061405429f;
  series = series * t - 1.453152027f;
  series = series * t + 1.421413741f;
  series = series * t - 0.284496736f;
  series = series * t + 0.254829592f;
  const float magnitude = 1.0f - series * t * exp_simd(-a * a);
  return x < 0.0f ? -magnitude : magnitude;
}

}  // namespace capdiff::onednn
