#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/onednn/attention_products.h"

namespace capdiff::onednn {

// Loops over row-major f32 data, for one thread each. Rows do not influence each other: a row's result is the same bits
// whatever its neighbours are.

/// y = activation(x) for n elements; y may be x.
void activate(Activation activation, const float* x, float* y, std::int64_t n);

/// y += x for n elements.
void accumulate(const float* x, float* y, std::int64_t n);

/// Rounds n elements to bfloat16, ties to even. Numbers below 2⁻¹²⁶ may become 0.
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
  /// Rounds what is multiplied to bf16; only where `has_avx512_bf16()`.
  bool bf16 = false;
  /// Position of the first query among the keys, for `causal`.
  std::int64_t first_query = 0;
};

/// Memory of a thread that computes attention, kept from call to call.
struct AttentionScratch {
  std::vector<float> block;            ///< queries, scores and sums of the block at hand
  std::vector<std::uint32_t> rounded;  ///< rows of pairs on their way into a product
  std::vector<float> packed;           ///< keys and values that one call needs
};

/// y = softmax(q kᵀ / sqrt(width)) v, read from where keys and values are: for so few queries that laying them out anew
/// costs more than it saves.
void attend_in_place(const AttentionHead& head, AttentionScratch& scratch);

/// Keys and values of one head, laid out for `attend`: keys transposed, rows padded to whole vectors. Values in f32
/// that fill whole vectors stay where they are. In bf16 the 32 bits of a float hold a pair.
class PackedKeys {
 public:
  /// What `pack` needs, in numbers of 32 bits: a multiple of 16.
  static std::int64_t memory_of(const AttentionHead& head);
  /// Fills `memory`, which has to outlive this, as have values that stay where they are.
  void pack(const AttentionHead& head, float* memory, AttentionScratch& scratch);
  /// y = softmax(q kᵀ / sqrt(width)) v for the head's queries, with the keys and values packed before.
  void attend(const AttentionHead& head, AttentionScratch& scratch) const;

 private:
  const float* keys_ = nullptr;    // [width, padded keys], or pairs of width
  const float* values_ = nullptr;  // [keys, value_stride_], or pairs of keys
  std::int64_t value_stride_ = 0;
};

}  // namespace capdiff::onednn
