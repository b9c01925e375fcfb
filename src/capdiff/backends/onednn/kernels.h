#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/backends/backend.h"

namespace capdiff::onednn {

// Loops over row-major f32 data, for one thread each. Rows do not influence each other: a row's result is the same bits
// whatever its neighbours are.

/// y = activation(x) for n elements; y may be x.
void activate(Activation activation, const float* x, float* y, std::int64_t n);

/// y += x for n elements.
void accumulate(const float* x, float* y, std::int64_t n);

/// Rounds n elements to bfloat16, ties to even.
void round_to_bf16(const float* x, std::uint16_t* y, std::int64_t n);

/// y = gamma · (z − mean(z)) / sqrt(var(z) + eps) + beta for z = x + residual; `residual` may be null. [rows, cols].
void layer_norm_rows(const float* x, const float* residual, const float* gamma, const float* beta, float eps, float* y,
                     std::int64_t rows, std::int64_t cols);

/// Softmax over each row of [rows, cols].
void softmax_rows(const float* x, float* y, std::int64_t rows, std::int64_t cols);

/// y[r] = the largest entry of row r; NaN if there is one.
void max_rows(const float* x, float* y, std::int64_t rows, std::int64_t cols);

/// Each row divided by its Euclidean norm, or by 1e-12 if that is larger.
void l2_normalize_rows(const float* x, float* y, std::int64_t rows, std::int64_t cols);

/// One head of attention. Rows of q, k, v and y lie `…_stride` elements apart.
struct AttentionHead {
  std::int64_t queries = 0, keys = 0;
  std::int64_t width = 0, value_width = 0;
  const float* q = nullptr;
  std::int64_t q_stride = 0;
  const float* k = nullptr;
  std::int64_t k_stride = 0;
  const float* v = nullptr;
  std::int64_t v_stride = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  /// [keys], or null: where it is 0 the probability is exactly 0. A query without any key gives zeros.
  const float* key_mask = nullptr;
  bool causal = false;
  /// Position of the first query among the keys, for `causal`.
  std::int64_t first_query = 0;
};

/// y = softmax(q kᵀ / sqrt(width)) v, read from where keys and values are: for so few queries that laying them out anew
/// costs more than it saves. `scores` is memory for [keys].
void attend_in_place(const AttentionHead& head, std::vector<float>& scores);

/// Keys and values of one head, laid out for `attend`: keys transposed, rows padded to whole vectors. Values that fill
/// whole vectors stay where they are.
class PackedKeys {
 public:
  /// Memory is kept for the next call on the same object.
  void pack(const AttentionHead& head);
  /// y = softmax(q kᵀ / sqrt(width)) v for the head's queries, with the keys packed before, and the head's values.
  void attend(const AttentionHead& head);

 private:
  std::vector<float> keys_;    // [width, padded keys]
  std::vector<float> values_;  // [keys, padded value width], where they are packed
  std::int64_t value_stride_ = 0;
  bool packed_values_ = false;
  std::vector<float> block_;  // queries, scores and sums of the block at hand
};

}  // namespace capdiff::onednn
