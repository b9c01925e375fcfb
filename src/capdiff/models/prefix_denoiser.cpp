#include "capdiff/models/prefix_denoiser.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/models/image_encoder.h"

namespace capdiff {
namespace {

constexpr std::int64_t kImageType = 0, kTextType = 1, kTypes = 2;

}  // namespace

PrefixDenoiser::PrefixDenoiser(Backend& backend, const Scope& scope, const PrefixDenoiserConfig& config)
    : backend_(&backend), config_(config), mapper_(backend, scope / "img_project", config.mapper) {
  const Init init = Init::normal(config.init_std);
  const std::int64_t width = config.hidden, time_width = 4 * config.time_channels;
  up_first_ = Linear(backend, scope / "input_up_proj" / "0", config.latent, width, init);
  up_second_ = Linear(backend, scope / "input_up_proj" / "3", width, width, init);
  time_first_ = Linear(backend, scope / "time_embed" / "0", config.time_channels, time_width, init);
  time_second_ = Linear(backend, scope / "time_embed" / "2", time_width, width, init);
  down_first_ = Linear(backend, scope / "output_down_proj" / "0", width, width, init);
  down_second_ = Linear(backend, scope / "output_down_proj" / "3", width, config.latent, init);
  positions_ = Embedding(backend, scope / "position_embeddings", config.max_position, width, init);
  image_positions_ = Embedding(backend, scope / "img_position_embeddings", config.mapper.prefix, width, init);
  types_ = Embedding(backend, scope / "token_type_embeddings", kTypes, width, init);
  text_norm_ = LayerNorm(backend, scope / "LayerNorm", width, config.eps);
  image_norm_ = LayerNorm(backend, scope / "LayerNorm_img", width, config.eps);
  for (std::int64_t i = 0; i < config.layers; ++i)
    layers_.emplace_back(backend, scope / "input_transformers" / "layer" / i,
                         PostNormBlockConfig{.width = width,
                                             .heads = config.heads,
                                             .intermediate = config.intermediate,
                                             .eps = config.eps,
                                             .dropout = config.dropout,
                                             .init_std = config.init_std});
}

Prefix PrefixDenoiser::prefix(const Value& image_feature, const Probe& probe) const {
  Backend& b = *backend_;
  const Value mapped = mapper_(image_feature);
  const Value type = b.slice(types_.table(), 0, kImageType, kImageType + 1);
  const Value tokens = image_norm_(b.add(mapped, b.add(image_positions_.table(), type)));
  if (probe) {
    probe("img_project", mapped);
    probe("img_tokens", tokens);
  }
  return {b.dropout(tokens, config_.dropout)};
}

Value PrefixDenoiser::time(const HostTensor& scaled_time, const Probe& probe) const {
  const Value sinusoids = backend_->upload(split_sinusoids(scaled_time, config_.time_channels));
  const Value time = time_second_(time_first_(sinusoids, Activation::silu));
  if (probe) {
    probe("time_sincos", sinusoids);
    probe("time_embed", time);
  }
  return time;
}

Value PrefixDenoiser::text_tokens(const Value& x_t, const Value& time, const Probe& probe) const {
  Backend& b = *backend_;
  const std::int64_t length = x_t.shape()[1];
  if (length > config_.max_position)
    fail(ErrorCode::usage, "captions of {} positions do not fit: this model has {}", length, config_.max_position);
  const Value up = up_second_(b.dropout(up_first_(x_t, Activation::tanh), config_.dropout));
  const Value type = b.slice(types_.table(), 0, kTextType, kTextType + 1);
  const Value place =
      b.add(b.reshape(time, {time.shape()[0], 1, config_.hidden}), b.add(positions_.rows(length), type));
  const Value tokens = text_norm_(b.add(up, place));
  if (probe) {
    probe("input_up_proj", up);
    probe("text_tokens", tokens);
  }
  return b.dropout(tokens, config_.dropout);
}

Value PrefixDenoiser::prefix_tokens(std::span<const PrefixedRows> parts) const {
  std::vector<Value> tokens;
  for (const PrefixedRows& part : parts)
    tokens.push_back(repeat_each(*backend_, part.prefix->tokens, part.rows / part.prefix->batch()));
  return tokens.size() == 1 ? tokens.front() : backend_->concat(tokens, 0);
}

Value PrefixDenoiser::estimate(const Value& x_t, const Value& time, std::span<const PrefixedRows> parts,
                               const Probe& probe) const {
  Backend& b = *backend_;
  Value x = b.concat(std::array{text_tokens(x_t, time, probe), prefix_tokens(parts)}, 1);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i](x, {});
    if (probe) probe(fmt::format("layer{}", i), x);
  }
  const Value text = b.slice(x, 1, 0, x_t.shape()[1]);
  const Value x0 = down_second_(b.dropout(down_first_(text, Activation::tanh), config_.dropout));
  if (probe) probe("x0hat", x0);
  return x0;
}

HostTensor split_sinusoids(const HostTensor& t, std::int64_t channels) {
  const std::int64_t half = channels / 2;
  HostTensor table(DType::f32, {t.numel(), channels});
  const auto out = table.mutable_values<float>();
  for (std::int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(-std::log(10000.0)) * static_cast<float>(i) / static_cast<float>(half);
    const float omega = static_cast<float>(std::exp(static_cast<double>(exponent)));
    for (std::int64_t row = 0; row < t.numel(); ++row) {
      const double phase = t.values<float>()[static_cast<std::size_t>(row)] * omega;
      out[static_cast<std::size_t>(row * channels + i)] = static_cast<float>(std::cos(phase));
      out[static_cast<std::size_t>(row * channels + half + i)] = static_cast<float>(std::sin(phase));
    }
  }
  return table;
}

}  // namespace capdiff
