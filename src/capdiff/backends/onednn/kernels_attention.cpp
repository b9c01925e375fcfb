#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/simd.h"

namespace capdiff::onednn {
namespace {

/// Six rows of sums in vectors of sixteen fit the registers of AVX2 (12 of 16) and of AVX-512.
constexpr std::int64_t kRows = 6;
constexpr std::int64_t kLanes = 16;
using Vector [[gnu::vector_size(kLanes * sizeof(float)), gnu::aligned(4), gnu::may_alias]] = float;

constexpr std::int64_t padded(std::int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

constexpr float kMasked = std::numeric_limits<float>::lowest();

/// c [kRows, vectors · kLanes] = a [kRows, depth] · b [depth, …].
template <int vectors>
[[gnu::always_inline]] inline void multiply_tile(const float* a, std::int64_t a_stride, const float* b,
                                                 std::int64_t b_stride, std::int64_t depth, float* c,
                                                 std::int64_t c_stride) {
  Vector sums[kRows][vectors] = {};
  for (std::int64_t p = 0; p < depth; ++p) {
    Vector row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) row[v] = *reinterpret_cast<const Vector*>(b + p * b_stride + v * kLanes);
#pragma GCC unroll 6
    for (std::int64_t r = 0; r < kRows; ++r) {
      const float factor = a[r * a_stride + p];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] += factor * row[v];
    }
  }
#pragma GCC unroll 6
  for (std::int64_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) *reinterpret_cast<Vector*>(c + r * c_stride + v * kLanes) = sums[r][v];
}

CAPDIFF_SIMD_CLONES void multiply_narrow(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                                         std::int64_t depth, float* c, std::int64_t c_stride, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += kLanes) multiply_tile<1>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
}

#ifdef CAPDIFF_SIMD_AVX512
/// AVX-512 has registers for four vectors of sums a row: less is loaded for each product.
CAPDIFF_SIMD_AVX512 void multiply_wide(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                                       std::int64_t depth, float* c, std::int64_t c_stride, std::int64_t n) {
  constexpr int kVectors = 4;
  for (std::int64_t j = 0; j < n; j += kVectors * kLanes)
    multiply_tile<kVectors>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
}
#endif

/// c [kRows, n] = a [kRows, depth] · b [depth, n], where n is a multiple of kLanes. The order of summation of an
/// element depends on depth alone.
void multiply_block(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, std::int64_t depth,
                    float* c, std::int64_t c_stride, std::int64_t n) {
  std::int64_t wide = 0;
#ifdef CAPDIFF_SIMD_AVX512
  static const bool kHasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (kHasAvx512) wide = n / (4 * kLanes) * (4 * kLanes);
  if (wide > 0) multiply_wide(a, a_stride, b, b_stride, depth, c, c_stride, wide);
#endif
  multiply_narrow(a, a_stride, b + wide, b_stride, depth, c + wide, c_stride, n - wide);
}

/// Swaps what rows r and r + distance have in lanes l + distance and l, for all r and l without that bit.
template <int distance, int... lane>
[[gnu::always_inline]] inline void exchange(Vector* rows, std::integer_sequence<int, lane...>) {
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) {
    if ((r & distance) != 0) continue;
    const Vector a = rows[r], b = rows[r + distance];
    rows[r] = __builtin_shufflevector(a, b, ((lane & distance) == 0 ? lane : kLanes + lane - distance)...);
    rows[r + distance] = __builtin_shufflevector(a, b, ((lane & distance) == 0 ? lane + distance : kLanes + lane)...);
  }
}

/// to [columns, to_stride] = the transpose of from [kLanes, columns].
CAPDIFF_SIMD_CLONES void transpose_rows(const float* from, std::int64_t from_stride, std::int64_t columns, float* to,
                                        std::int64_t to_stride) {
  constexpr auto lanes = std::make_integer_sequence<int, kLanes>();
  std::int64_t i = 0;
  for (; i + kLanes <= columns; i += kLanes) {
    Vector rows[kLanes];
    for (std::int64_t j = 0; j < kLanes; ++j) rows[j] = *reinterpret_cast<const Vector*>(from + j * from_stride + i);
    exchange<8>(rows, lanes);
    exchange<4>(rows, lanes);
    exchange<2>(rows, lanes);
    exchange<1>(rows, lanes);
    for (std::int64_t j = 0; j < kLanes; ++j) *reinterpret_cast<Vector*>(to + (i + j) * to_stride) = rows[j];
  }
  for (; i < columns; ++i)
    for (std::int64_t j = 0; j < kLanes; ++j) to[i * to_stride + j] = from[j * from_stride + i];
}

/// y[r] = factors[r] · x[r] for `rows` rows of n elements.
CAPDIFF_SIMD_CLONES void scale_rows(const float* x, std::int64_t x_stride, const float* factors, std::int64_t rows,
                                    std::int64_t n, float* y, std::int64_t y_stride) {
  for (std::int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[r * y_stride + i] = factors[r] * x[r * x_stride + i];
  }
}

/// Turns scores into exp(score − max) in place, and 0 where they are kMasked; returns 1 / their sum, or 0 for no keys.
CAPDIFF_SIMD_CLONES float exponentials(float* scores, std::int64_t n) {
  float highest = kMasked;
#pragma omp simd reduction(max : highest)
  for (std::int64_t j = 0; j < n; ++j) highest = scores[j] > highest ? scores[j] : highest;
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < n; ++j) {
    const float exponential = exp_simd(scores[j] - highest);
    scores[j] = scores[j] == kMasked ? 0.0f : exponential;
    sum += scores[j];
  }
  return sum == 0.0f ? 0.0f : 1.0f / sum;
}

/// scores[j] = scale · q · k[j] for n keys.
CAPDIFF_SIMD_CLONES void multiply_keys(const float* q, float scale, const float* k, std::int64_t k_stride,
                                       std::int64_t width, std::int64_t n, float* scores) {
  for (std::int64_t j = 0; j < n; ++j) {
    const float* const key = k + j * k_stride;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) sum += q[i] * key[i];
    scores[j] = scale * sum;
  }
}

/// y = scale · Σ_j weights[j] v[j] over n values.
CAPDIFF_SIMD_CLONES void add_values(const float* weights, float scale, const float* v, std::int64_t v_stride,
                                    std::int64_t width, std::int64_t n, float* y) {
  std::fill_n(y, width, 0.0f);
  for (std::int64_t j = 0; j < n; ++j) {
    const float weight = weights[j] * scale;
    const float* const value = v + j * v_stride;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) y[i] += weight * value[i];
  }
}

}  // namespace

void attend_in_place(const AttentionHead& head, std::vector<float>& scores) {
  scores.resize(static_cast<std::size_t>(head.keys));
  const float scale = 1.0f / std::sqrt(static_cast<float>(head.width));
  for (std::int64_t r = 0; r < head.queries; ++r) {
    const std::int64_t seen = head.causal ? std::min(head.keys, head.first_query + r + 1) : head.keys;
    multiply_keys(head.q + r * head.q_stride, scale, head.k, head.k_stride, head.width, seen, scores.data());
    if (head.key_mask)
      for (std::int64_t j = 0; j < seen; ++j)
        scores[static_cast<std::size_t>(j)] = head.key_mask[j] != 0.0f ? scores[static_cast<std::size_t>(j)] : kMasked;
    const float inverse = exponentials(scores.data(), seen);
    add_values(scores.data(), inverse, head.v, head.v_stride, head.value_width, seen, head.y + r * head.y_stride);
  }
}

void PackedKeys::pack(const AttentionHead& head) {
  const std::int64_t key_stride = padded(head.keys);
  keys_.resize(static_cast<std::size_t>(head.width * key_stride));
  const std::int64_t whole = head.keys / kLanes * kLanes;
  for (std::int64_t first = 0; first < whole; first += kLanes)
    transpose_rows(head.k + first * head.k_stride, head.k_stride, head.width, keys_.data() + first, key_stride);
  for (std::int64_t i = 0; whole < key_stride && i < head.width; ++i)
    for (std::int64_t j = whole; j < key_stride; ++j)
      keys_[static_cast<std::size_t>(i * key_stride + j)] = j < head.keys ? head.k[j * head.k_stride + i] : 0.0f;

  // Values that fill whole vectors are read from where they are.
  value_stride_ = padded(head.value_width);
  packed_values_ = value_stride_ != head.value_width;
  if (!packed_values_) return;
  values_.assign(static_cast<std::size_t>(head.keys * value_stride_), 0.0f);
  for (std::int64_t j = 0; j < head.keys; ++j)
    std::copy_n(head.v + j * head.v_stride, head.value_width, values_.data() + j * value_stride_);
}

void PackedKeys::attend(const AttentionHead& head) {
  const std::int64_t key_stride = padded(head.keys);
  block_.assign(static_cast<std::size_t>(kRows * (head.width + key_stride + value_stride_)), 0.0f);
  float* const queries = block_.data();
  float* const scores = queries + kRows * head.width;
  float* const sums = scores + kRows * key_stride;
  const float* const values = packed_values_ ? values_.data() : head.v;
  const std::int64_t values_stride = packed_values_ ? value_stride_ : head.v_stride;
  float scales[kRows];
  std::fill_n(scales, kRows, 1.0f / std::sqrt(static_cast<float>(head.width)));

  for (std::int64_t first = 0; first < head.queries; first += kRows) {
    const std::int64_t rows = std::min(kRows, head.queries - first);
    scale_rows(head.q + first * head.q_stride, head.q_stride, scales, rows, head.width, queries, head.width);

    // No query of a causal block sees beyond its last row.
    const std::int64_t seen = head.causal ? std::min(head.keys, head.first_query + first + rows) : head.keys;
    const std::int64_t seen_padded = padded(seen);
    multiply_block(queries, head.width, keys_.data(), key_stride, head.width, scores, key_stride, seen_padded);

    float inverse[kRows] = {};
    for (std::int64_t r = 0; r < rows; ++r) {
      float* const row = scores + r * key_stride;
      const std::int64_t visible = head.causal ? std::min(head.keys, head.first_query + first + r + 1) : head.keys;
      if (head.key_mask)
        for (std::int64_t j = 0; j < visible; ++j) row[j] = head.key_mask[j] != 0.0f ? row[j] : kMasked;
      std::fill(row + visible, row + seen_padded, kMasked);
      inverse[r] = exponentials(row, seen_padded);
    }

    multiply_block(scores, key_stride, values, values_stride, seen, sums, value_stride_, value_stride_);
    scale_rows(sums, value_stride_, inverse, rows, head.value_width, head.y + first * head.y_stride, head.y_stride);
  }
}

}  // namespace capdiff::onednn
