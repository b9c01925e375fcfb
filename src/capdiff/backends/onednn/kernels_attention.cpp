#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "capdiff/backends/onednn/attention_products.h"
#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/simd.h"

namespace capdiff::onednn {
namespace {

constexpr float kMasked = std::numeric_limits<float>::lowest();

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

/// y = n numbers rounded to bf16.
void round_pairs(const float* x, std::int64_t n, Pair* y) {
  auto* const halves = reinterpret_cast<std::uint16_t*>(y);
  round_to_bf16(x, halves, n);
  if (n % 2 != 0) halves[n] = 0;
}

/// From two rows of n pairs of neighbours, the 2n pairs that stand below each other in them.
CAPDIFF_SIMD_CLONES void interleave(const Pair* above, const Pair* below, std::int64_t n, Pair* y) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[2 * i] = (above[i] & 0xffffu) | (below[i] << 16);
    y[2 * i + 1] = (above[i] >> 16) | (below[i] & 0xffff0000u);
  }
}

/// [rows + 1, pairs of width], the last row 0.
const Pair* rounded_rows(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t width,
                         AttentionScratch& scratch) {
  const std::int64_t depth = pairs_of(width);
  scratch.rounded.resize(static_cast<std::size_t>((rows + 1) * depth));
  std::uint32_t* const rounded = scratch.rounded.data();
  for (std::int64_t r = 0; r < rows; ++r) round_pairs(x + r * stride, width, rounded + r * depth);
  std::fill_n(rounded + rows * depth, depth, 0);
  return rounded;
}

/// to [depth, padded keys] = the transpose of k [keys, depth], with zeros behind it.
void transpose_keys(const float* k, std::int64_t k_stride, std::int64_t depth, std::int64_t keys, float* to) {
  const std::int64_t stride = padded(keys), whole = keys / kLanes * kLanes;
  for (std::int64_t first = 0; first < whole; first += kLanes)
    transpose_rows(k + first * k_stride, k_stride, depth, to + first, stride);
  for (std::int64_t i = 0; whole < stride && i < depth; ++i)
    for (std::int64_t j = whole; j < stride; ++j) to[i * stride + j] = j < keys ? k[j * k_stride + i] : 0.0f;
}

/// Values in f32 that fill whole vectors are read from where they are.
bool packs_values(const AttentionHead& head) {
  return head.bf16 || head.value_width % kLanes != 0;
}

/// to [keys, padded value width], zeros behind the values.
void pack_values(const AttentionHead& head, float* to) {
  const std::int64_t stride = padded(head.value_width);
  for (std::int64_t j = 0; j < head.keys; ++j, to += stride) {
    std::copy_n(head.v + j * head.v_stride, head.value_width, to);
    std::fill(to + head.value_width, to + stride, 0.0f);
  }
}

/// to [pairs of keys, padded value width], zeros behind the values.
void pack_value_pairs(const AttentionHead& head, float* to, AttentionScratch& scratch) {
  const std::int64_t depth = pairs_of(head.value_width), stride = padded(head.value_width);
  const Pair* const rows = rounded_rows(head.v, head.v_stride, head.keys, head.value_width, scratch);
  for (std::int64_t j = 0; j < head.keys; j += 2, to += stride) {
    interleave(rows + j * depth, rows + (j + 1) * depth, depth, reinterpret_cast<Pair*>(to));
    std::fill(to + std::min(2 * depth, stride), to + stride, 0.0f);
  }
}

/// c [kRows, n] = a [kRows, depth] · b [depth, n] in f32, or in bf16, where b holds pairs.
void multiply(bool bf16, const float* a, std::int64_t a_stride, std::int64_t depth, const float* b,
              std::int64_t b_stride, float* c, std::int64_t n, AttentionScratch& scratch) {
  if (!bf16) return multiply_block(a, a_stride, b, b_stride, depth, c, n, n);
  const Pair* const pairs = rounded_rows(a, a_stride, kRows, depth, scratch);
  multiply_pairs(pairs, pairs_of(depth), reinterpret_cast<const Pair*>(b), b_stride, pairs_of(depth), c, n, n);
}

}  // namespace

void attend_in_place(const AttentionHead& head, AttentionScratch& scratch) {
  std::vector<float>& scores = scratch.block;
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

std::int64_t PackedKeys::memory_of(const AttentionHead& head) {
  const std::int64_t keys = (head.bf16 ? pairs_of(head.width) : head.width) * padded(head.keys);
  if (!packs_values(head)) return keys;
  return keys + (head.bf16 ? pairs_of(head.keys) : head.keys) * padded(head.value_width);
}

void PackedKeys::pack(const AttentionHead& head, float* memory, AttentionScratch& scratch) {
  const float* k = head.k;
  std::int64_t k_stride = head.k_stride, depth = head.width;
  if (head.bf16) {
    k = reinterpret_cast<const float*>(rounded_rows(head.k, head.k_stride, head.keys, head.width, scratch));
    k_stride = depth = pairs_of(head.width);
  }
  transpose_keys(k, k_stride, depth, head.keys, memory);
  keys_ = memory;
  values_ = head.v;
  value_stride_ = head.v_stride;
  if (!packs_values(head)) return;
  float* const values = memory + depth * padded(head.keys);
  head.bf16 ? pack_value_pairs(head, values, scratch) : pack_values(head, values);
  values_ = values;
  value_stride_ = padded(head.value_width);
}

void PackedKeys::attend(const AttentionHead& head, AttentionScratch& scratch) const {
  const std::int64_t key_stride = padded(head.keys);
  const std::int64_t sum_stride = padded(head.value_width);
  scratch.block.assign(static_cast<std::size_t>(kRows * (head.width + key_stride + sum_stride)), 0.0f);
  float* const queries = scratch.block.data();
  float* const scores = queries + kRows * head.width;
  float* const sums = scores + kRows * key_stride;
  float scales[kRows];
  std::fill_n(scales, kRows, 1.0f / std::sqrt(static_cast<float>(head.width)));

  for (std::int64_t first = 0; first < head.queries; first += kRows) {
    const std::int64_t rows = std::min(kRows, head.queries - first);
    scale_rows(head.q + first * head.q_stride, head.q_stride, scales, rows, head.width, queries, head.width);

    // No query of a causal block sees beyond its last row.
    const std::int64_t seen = head.causal ? std::min(head.keys, head.first_query + first + rows) : head.keys;
    const std::int64_t seen_padded = padded(seen);
    multiply(head.bf16, queries, head.width, head.width, keys_, key_stride, scores, seen_padded, scratch);

    float inverse[kRows] = {};
    for (std::int64_t r = 0; r < rows; ++r) {
      float* const row = scores + r * seen_padded;
      const std::int64_t visible = head.causal ? std::min(head.keys, head.first_query + first + r + 1) : head.keys;
      if (head.key_mask)
        for (std::int64_t j = 0; j < visible; ++j) row[j] = head.key_mask[j] != 0.0f ? row[j] : kMasked;
      std::fill(row + visible, row + seen_padded, kMasked);
      inverse[r] = exponentials(row, seen_padded);
    }

    multiply(head.bf16, scores, seen_padded, seen, values_, value_stride_, sums, sum_stride, scratch);
    scale_rows(sums, sum_stride, inverse, rows, head.value_width, head.y + first * head.y_stride, head.y_stride);
  }
}

}  // namespace capdiff::onednn
