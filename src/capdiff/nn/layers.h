#pragma once

#include <initializer_list>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/nn/parameters.h"

namespace capdiff {

/// Standard deviation with which BERT, the ViT and LaDiC's diffuser initialise matrices at their published widths.
/// Narrow networks want more: their configurations may say so.
inline constexpr float kInitStd = 0.02f;

/// y = activation(x Wᵀ + b) + residual; parameters `weight` [out, in] and `bias` [out].
class Linear {
 public:
  Linear() = default;
  Linear(Backend& backend, const Scope& scope, std::int64_t in, std::int64_t out, Init init);
  /// The same of parameters with other names: [out, in] and [out].
  Linear(Backend& backend, const Parameter& weight, const Parameter& bias);
  /// Several layers of one input as one product; the outputs stand side by side in the given order.
  static Linear fused(Backend& backend, const std::vector<Scope>& scopes, std::int64_t in, std::int64_t out_each,
                      Init init);

  Value operator()(const Value& x, Activation activation = Activation::none, const Value& residual = {}) const {
    return backend_->linear(x, packed_, activation, residual);
  }

 private:
  Backend* backend_ = nullptr;
  Packed packed_;
};

/// LayerNorm over the last axis, optionally of a sum; parameters `weight` and `bias`.
class LayerNorm {
 public:
  LayerNorm() = default;
  LayerNorm(Backend& backend, const Scope& scope, std::int64_t width, float eps);

  Value operator()(const Value& x, const Value& residual = {}) const {
    return backend_->layer_norm(x, gamma_, beta_, eps_, residual);
  }

 private:
  Backend* backend_ = nullptr;
  Value gamma_, beta_;
  float eps_ = 0.0f;
};

/// A table of learned vectors, parameter `weight` [entries, width].
class Embedding {
 public:
  Embedding() = default;
  Embedding(Backend& backend, const Scope& scope, std::int64_t entries, std::int64_t width, Init init);

  /// ids i64 […] → […, width]
  Value operator()(const Value& ids) const { return backend_->embedding(table_, ids); }
  /// The first `count` rows, [count, width].
  Value rows(std::int64_t count) const { return backend_->slice(table_, 0, 0, count); }
  const Value& table() const { return table_; }

 private:
  Backend* backend_ = nullptr;
  Value table_;
};

/// `value` [b, N, width] with every entry `times` times, one behind the other → [b · times, N, width].
Value repeat_each(Backend& backend, const Value& value, std::int64_t times);

}  // namespace capdiff
