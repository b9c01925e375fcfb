#include "capdiff/models/prefix_mapper.h"

#include <array>

#include "capdiff/models/image_encoder.h"

namespace capdiff {

PrefixMapper::PrefixMapper(Backend& backend, const Scope& scope, const PrefixMapperConfig& config)
    : backend_(&backend), config_(config) {
  const std::int64_t width = config.hidden, out = config.prefix * width;
  const Init init = Init::normal(config.init_std);
  if (config.kind == MapperKind::mlp) {
    first_ = Linear(backend, scope / "model" / "0", config.feature, config.mlp_width, init);
    second_ = Linear(backend, scope / "model" / "3", config.mlp_width, out, init);
    return;
  }
  first_ = Linear(backend, scope / "linear", config.feature, out, init);
  queries_ = backend.bind(scope.get("prefix_const", {config.prefix, width}, Init::normal(1.0f)));
  for (std::int64_t i = 0; i < config.layers; ++i)
    blocks_.emplace_back(backend, scope / "transformer" / i,
                         PreNormBlockConfig{.width = width,
                                            .heads = config.heads,
                                            .mlp = 2 * width,
                                            .eps = 1e-5f,
                                            .activation = Activation::relu,
                                            .init_std = config.init_std});
}

Value PrefixMapper::operator()(const Value& feature) const {
  if (config_.kind == MapperKind::transformer) return by_transformer(feature);
  const Value inner = backend_->dropout(first_(feature, Activation::relu), config_.dropout);
  return backend_->reshape(second_(inner), {feature.shape()[0], config_.prefix, config_.hidden});
}

Value PrefixMapper::by_transformer(const Value& feature) const {
  const std::int64_t batch = feature.shape()[0];
  const Value mapped = backend_->reshape(first_(feature), {batch, config_.prefix, config_.hidden});
  const Value queries = backend_->reshape(queries_, {1, config_.prefix, config_.hidden});
  Value x = backend_->concat(std::array{mapped, repeat_batch(*backend_, queries, batch)}, 1);
  for (const PreNormBlock& block : blocks_) x = block(x);
  return backend_->slice(x, 1, config_.prefix, 2 * config_.prefix);
}

}  // namespace capdiff
