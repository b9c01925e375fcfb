#include "capdiff/models/ladic_denoiser.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {

Condition Condition::gather(Backend& backend, const Value& indices) const {
  Condition gathered{indices.shape()[0], {}, {}};
  if (layers.empty()) gathered.token = backend.gather(token, indices);
  for (const KeyValue& layer : layers)
    gathered.layers.push_back({backend.gather(layer.key, indices), backend.gather(layer.value, indices)});
  return gathered;
}

std::vector<Value> Condition::values() const {
  if (layers.empty()) return {token};
  std::vector<Value> values;
  for (const KeyValue& layer : layers) values.insert(values.end(), {layer.key, layer.value});
  return values;
}

Condition Condition::of(std::span<const Value> values) {
  Condition condition{values[0].shape()[0], {}, {}};
  if (values.size() == 1) condition.token = values[0];
  for (std::size_t i = 1; i < values.size(); i += 2) condition.layers.push_back({values[i - 1], values[i]});
  return condition;
}

Condition Condition::followed_by(Backend& backend, const Condition& other) const {
  std::vector<Value> joined = values();
  const std::vector<Value> others = other.values();
  for (std::size_t i = 0; i < joined.size(); ++i) joined[i] = backend.concat(std::array{joined[i], others[i]}, 0);
  return of(joined);
}

LadicDenoiser::LadicDenoiser(Backend& backend, const Scope& scope, const LadicDenoiserConfig& config)
    : backend_(&backend),
      config_(config),
      time_table_(backend.upload(time_embedding_table(config.time_steps, config.hidden))) {
  const Init init = Init::normal(config.init_std);
  const Scope diffuser = scope / "diffuser";
  const Scope embeddings = diffuser / "embeddings";
  if (config.time_layer_norm) time_norm_ = LayerNorm(backend, scope / "time_layer_norm", config.hidden, config.eps);
  position_ = Embedding(backend, embeddings / "position_embeddings", config.max_position, config.hidden, init);
  embedding_norm_ = LayerNorm(backend, embeddings / "LayerNorm", config.hidden, config.eps);
  if (projects()) {
    input_projection_ = Linear(backend, diffuser / "input_projection", 2 * config.latent, config.hidden, init);
    output_projection_ = Linear(backend, diffuser / "output_projection", config.hidden, config.latent, init);
  }
  if (appends_image())
    image_projection_ = Linear(backend, diffuser / "image_projection", config.encoder_width, config.hidden, init);
  const std::int64_t cross_width = appends_image() ? 0 : config.encoder_width;
  for (std::int64_t i = 0; i < config.layers; ++i)
    layers_.emplace_back(backend, diffuser / "encoder" / "layer" / i,
                         PostNormBlockConfig{config.hidden, config.heads, config.intermediate, config.eps,
                                             config.dropout, config.init_std, cross_width});
}

Condition LadicDenoiser::condition(const ImageTokens& image) const {
  Condition condition{image.patches.shape()[0], {}, {}};
  if (appends_image()) {
    condition.token = backend_->reshape(image_projection_(image.pooled), {condition.batch, 1, config_.hidden});
  } else {
    for (const PostNormBlock& layer : layers_) condition.layers.push_back(layer.cross_key_value(image.patches));
  }
  return condition;
}

Value LadicDenoiser::image_tokens(std::span<const ConditionedRows> parts) const {
  std::vector<Value> tokens;
  for (const ConditionedRows& part : parts)
    tokens.push_back(repeat_each(*backend_, part.condition->token, part.rows / part.condition->batch));
  return tokens.size() == 1 ? tokens.front() : backend_->concat(tokens, 0);
}

Value LadicDenoiser::time(const Value& t) const {
  const Value time = backend_->embedding(time_table_, t);
  return config_.time_layer_norm ? time_norm_(time) : time;
}

Value LadicDenoiser::estimate(const Value& x_t, const Value& self_condition, const Value& time,
                              std::span<const ConditionedRows> parts, const Probe& probe) const {
  Backend& b = *backend_;
  const std::int64_t length = x_t.shape()[1];
  const std::int64_t positions = length + (appends_image() ? 1 : 0);
  if (positions > config_.max_position)
    fail(ErrorCode::usage, "captions of {} positions do not fit: this model has {}", positions, config_.max_position);

  Value x = b.concat(std::array{x_t, self_condition}, 2);
  if (projects()) x = input_projection_(x);
  if (appends_image()) x = b.concat(std::array{x, image_tokens(parts)}, 1);
  const Value time_and_position =
      b.add(b.reshape(time, {time.shape()[0], 1, config_.hidden}), position_.rows(positions));
  x = b.dropout(embedding_norm_(b.add(x, time_and_position)), config_.dropout);
  if (probe) probe("emb", x);

  std::vector<CrossSegment> segments(appends_image() ? 0 : parts.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    for (std::size_t s = 0; s < segments.size(); ++s) segments[s] = {parts[s].rows, &parts[s].condition->layers[i]};
    x = layers_[i](x, {}, segments);
    if (probe) probe(fmt::format("layer.{}", i), x);
  }
  if (appends_image()) x = b.slice(x, 1, 0, length);
  return projects() ? output_projection_(x) : b.slice(x, 2, 0, config_.latent);
}

HostTensor time_embedding_table(std::int64_t steps, std::int64_t width) {
  HostTensor table(DType::f32, {steps, width});
  auto out = table.mutable_values<float>();
  const float scale = static_cast<float>(-std::log(10000.0) / static_cast<double>(width));
  for (std::int64_t k = 0; 2 * k < width; ++k) {
    const float exponent = static_cast<float>(2 * k) * scale;
    const float omega = static_cast<float>(std::exp(static_cast<double>(exponent)));
    for (std::int64_t t = 0; t < steps; ++t) {
      const double phase = static_cast<float>(t) * omega;
      const std::size_t at = static_cast<std::size_t>(t * width + 2 * k);
      out[at] = static_cast<float>(std::sin(phase));
      if (2 * k + 1 < width) out[at + 1] = static_cast<float>(std::cos(phase));
    }
  }
  return table;
}

}  // namespace capdiff
