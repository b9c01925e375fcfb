#include "capdiff/nn/transformer.h"

#include <array>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

struct QueryKeyValue {
  Value query, key, value;
};

/// The parts that stand side by side in `qkv` [B, L, 3 width].
QueryKeyValue split(Backend& backend, const Value& qkv, std::int64_t width) {
  return {backend.slice(qkv, -1, 0, width), backend.slice(qkv, -1, width, 2 * width),
          backend.slice(qkv, -1, 2 * width, 3 * width)};
}

Value self_attention(Backend& backend, const Value& qkv, std::int64_t width, const AttentionOptions& options) {
  const auto [q, k, v] = split(backend, qkv, width);
  return backend.attention(q, k, v, options);
}

}  // namespace

PostNormBlock::PostNormBlock(Backend& backend, const Scope& scope, const PostNormBlockConfig& config)
    : backend_(&backend), config_(config) {
  const std::int64_t width = config.width;
  const Init init = Init::normal(config.init_std);
  const Scope self = scope / "attention" / "self";
  qkv_ = Linear::fused(backend, {self / "query", self / "key", self / "value"}, width, width, init);
  attention_output_ = Linear(backend, scope / "attention" / "output" / "dense", width, width, init);
  attention_norm_ = LayerNorm(backend, scope / "attention" / "output" / "LayerNorm", width, config.eps);
  if (config.cross_width > 0) {
    const Scope cross = scope / "crossattention" / "self";
    cross_query_ = Linear(backend, cross / "query", width, width, init);
    cross_key_value_ = Linear::fused(backend, {cross / "key", cross / "value"}, config.cross_width, width, init);
    cross_output_ = Linear(backend, scope / "crossattention" / "output" / "dense", width, width, init);
    cross_norm_ = LayerNorm(backend, scope / "crossattention" / "output" / "LayerNorm", width, config.eps);
  }
  intermediate_ = Linear(backend, scope / "intermediate" / "dense", width, config.intermediate, init);
  output_ = Linear(backend, scope / "output" / "dense", config.intermediate, width, init);
  output_norm_ = LayerNorm(backend, scope / "output" / "LayerNorm", width, config.eps);
}

Value PostNormBlock::operator()(const Value& x, const Value& key_mask, std::span<const CrossSegment> cross,
                                const Probe& probe) const {
  const Value context = self_attention(
      *backend_, qkv_(x), config_.width,
      {.heads = config_.heads, .key_mask = key_mask, .causal = config_.causal, .dropout = config_.dropout});
  return behind_attention(x, context, cross, probe);
}

Value PostNormBlock::extend(const Value& x, KeyValue& past, std::span<const CrossSegment> cross) const {
  const bool first = !past.key;
  if (!config_.causal || (!first && x.shape()[1] != 1))
    fail(ErrorCode::internal, "[extend] {} positions behind others, of a {} layer", x.shape()[1],
         config_.causal ? "causal" : "bidirectional");
  auto [query, key, value] = split(*backend_, qkv_(x), config_.width);
  if (!first) {
    key = backend_->concat(std::array{past.key, key}, 1);
    value = backend_->concat(std::array{past.value, value}, 1);
  }
  past = {key, value};
  const Value context = backend_->attention(
      query, key, value, {.heads = config_.heads, .key_mask = {}, .causal = first, .dropout = config_.dropout});
  return behind_attention(x, context, cross, {});
}

Value PostNormBlock::behind_attention(const Value& x, const Value& context, std::span<const CrossSegment> cross,
                                      const Probe& probe) const {
  const float p = config_.dropout;
  Value hidden = attention_norm_(backend_->dropout(attention_output_(context), p), x);
  if (probe) probe("self_attn", hidden);
  if (config_.cross_width > 0) {
    hidden = cross_norm_(backend_->dropout(cross_output_(cross_attention(hidden, cross)), p), hidden);
    if (probe) probe("cross_attn", hidden);
  }
  const Value inner = intermediate_(hidden, Activation::gelu);
  return output_norm_(backend_->dropout(output_(inner), p), hidden);
}

KeyValue PostNormBlock::cross_key_value(const Value& tokens) const {
  const Value both = cross_key_value_(tokens);
  return {backend_->slice(both, -1, 0, config_.width), backend_->slice(both, -1, config_.width, 2 * config_.width)};
}

Value PostNormBlock::cross_attention(const Value& x, std::span<const CrossSegment> cross) const {
  const Value query = cross_query_(x);
  std::vector<Value> parts;
  std::int64_t begin = 0;
  for (const CrossSegment& segment : cross) {
    const Value q = cross.size() == 1 ? query : backend_->slice(query, 0, begin, begin + segment.rows);
    parts.push_back(backend_->attention(
        q, segment.key_value->key, segment.key_value->value,
        {.heads = config_.heads, .key_mask = {}, .causal = false, .dropout = config_.dropout, .lasting_keys = true}));
    begin += segment.rows;
  }
  if (begin != x.shape()[0])
    fail(ErrorCode::internal, "[cross_attention] the condition serves {} rows of a batch of {}", begin, x.shape()[0]);
  return parts.size() == 1 ? parts.front() : backend_->concat(parts, 0);
}

PreNormBlock::PreNormBlock(Backend& backend, const Scope& scope, const PreNormBlockConfig& config)
    : backend_(&backend), config_(config) {
  const std::int64_t width = config.width, mlp = config.mlp;
  const Init init = Init::normal(config.init_std);
  const PreNormBlockNames& names = config.names;
  const std::string qkv(names.qkv);
  norm1_ = LayerNorm(backend, scope / names.norm1, width, config.eps);
  norm2_ = LayerNorm(backend, scope / names.norm2, width, config.eps);
  qkv_ = Linear(backend, scope.get(qkv + "weight", {3 * width, width}, init),
                scope.get(qkv + "bias", {3 * width}, Init::zeros()));
  proj_ = Linear(backend, scope / names.proj, width, width, init);
  fc1_ = Linear(backend, scope / names.fc1, width, mlp, init);
  fc2_ = Linear(backend, scope / names.fc2, mlp, width, init);
}

Value PreNormBlock::operator()(const Value& x, const Probe& probe) const {
  const Value context =
      self_attention(*backend_, qkv_(norm1_(x)), config_.width,
                     {.heads = config_.heads, .key_mask = {}, .causal = config_.causal, .dropout = 0.0f});
  const Value attended = proj_(context, Activation::none, x);
  const Value inner = fc1_(norm2_(attended), config_.activation);
  // Otherwise the sums are part of the products.
  if (probe) {
    probe("attn_out", proj_(context));
    probe("mlp_out", fc2_(inner));
  }
  return fc2_(inner, Activation::none, attended);
}

}  // namespace capdiff
