#include "capdiff/models/clip.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/models/size_limits.h"

namespace capdiff {
namespace {

constexpr std::int64_t kMaxLength = 4096;

/// Sizes that both towers have.
template <class Tower>
void read_transformer(const JsonReader& json, Tower& tower) {
  tower.width = json.get_int("width", 1, kMaxWidth);
  tower.depth = json.get_int("depth", 1, kMaxDepth);
  tower.heads = json.get_int("heads", 1, tower.width);
  require_divisible(json, tower.width, tower.heads);
  tower.mlp = json.get_int("mlp", 1, kMaxWidth);
}

constexpr std::string_view kTransposed = ".transposed";

/// A projection that is stored [width, E], as x P, for products that want [E, width].
Packed bind_projection(Backend& backend, const Parameter& projection) {
  const Parameter parameter{projection.name + std::string(kTransposed), projection.value.transposed()};
  return backend.bind_linear({&parameter, 1}, {});
}

template <class Tower>
std::vector<PreNormBlock> make_blocks(Backend& backend, const Scope& scope, const ClipConfig& config,
                                      const Tower& tower, bool causal) {
  std::vector<PreNormBlock> blocks;
  for (std::int64_t i = 0; i < tower.depth; ++i)
    blocks.emplace_back(backend, scope / "transformer" / "resblocks" / i,
                        PreNormBlockConfig{.width = tower.width,
                                           .heads = tower.heads,
                                           .mlp = tower.mlp,
                                           .eps = config.eps,
                                           .activation = config.activation,
                                           .init_std = config.init_std,
                                           .causal = causal,
                                           .names = PreNormBlockNames::clip()});
  return blocks;
}

Value apply_blocks(const std::vector<PreNormBlock>& blocks, Value x, const Probe& probe) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string name = fmt::format("block{}", i);
    const Probe inside = [&](std::string_view part, const Value& value) {
      probe(fmt::format("{}.{}", name, part), value);
    };
    x = blocks[i](x, probe ? inside : Probe());
    if (probe) probe(name, x);
  }
  return x;
}

PatchEmbedding embedding(Backend& backend, const Scope& scope, const ClipConfig& config) {
  const ClipImageConfig& image = config.image;
  const std::int64_t side = image.image_size / image.patch;
  const Init init = Init::normal(config.init_std);
  return {backend, scope.get("conv1.weight", {image.width, 3, image.patch, image.patch}, init), std::nullopt,
          scope.get("class_embedding", {image.width}, init),
          scope.get("positional_embedding", {1 + side * side, image.width}, init)};
}

ClipImageConfig clip_vit_config(const JsonReader& json) {
  ClipImageConfig image;
  image.image_size = json.get_int("image_size", 1, kMaxSide);
  image.patch = json.get_int("patch", 1, image.image_size);
  read_transformer(json, image);
  json.reject_unknown_keys();
  return image;
}

}  // namespace

std::int64_t ClipConfig::image_size() const {
  return encoder ? capdiff::image_size(*encoder) : image.image_size;
}

ClipConfig ClipConfig::from_json(const JsonReader& json) {
  json.get_choice("model_type", {"clip"});
  ClipConfig config;
  config.embed = json.get_int("embed_dim", 1, kMaxWidth);
  config.activation = json.get_choice("activation", {"quick_gelu", "gelu"}, "quick_gelu") == "gelu"
                          ? Activation::gelu
                          : Activation::quick_gelu;
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  config.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, config.init_std));
  const JsonReader image = json.get_object("image_encoder"), text = json.get_object("text_encoder");
  if (image.has("type"))
    config.encoder = image_encoder_config(image);
  else
    config.image = clip_vit_config(image);
  config.text.tokens = text.get_choice("tokenizer", {"clip-bpe", "wordpiece"}, "clip-bpe") == "wordpiece"
                           ? ClipTokens::wordpiece
                           : ClipTokens::bpe;
  config.text.vocab_size = text.get_int("vocab_size", 1, kMaxVocabulary);
  config.text.length = text.get_int("length", 2, kMaxLength);
  read_transformer(text, config.text);
  text.reject_unknown_keys();
  json.reject_unknown_keys();
  return config;
}

nlohmann::json ClipConfig::to_json() const {
  const nlohmann::json vit{{"image_size", image.image_size}, {"patch", image.patch}, {"width", image.width},
                           {"depth", image.depth},           {"heads", image.heads}, {"mlp", image.mlp}};
  return {{"model_type", "clip"},
          {"embed_dim", embed},
          {"activation", activation == Activation::gelu ? "gelu" : "quick_gelu"},
          {"eps", eps},
          {"init_std", init_std},
          {"image_encoder", encoder ? capdiff::to_json(*encoder) : vit},
          {"text_encoder",
           {{"tokenizer", text.tokens == ClipTokens::wordpiece ? "wordpiece" : "clip-bpe"},
            {"vocab_size", text.vocab_size},
            {"length", text.length},
            {"width", text.width},
            {"depth", text.depth},
            {"heads", text.heads},
            {"mlp", text.mlp}}}};
}

ClipImageTower::ClipImageTower(Backend& backend, const Scope& scope, const ClipConfig& config)
    : backend_(&backend),
      embedding_(embedding(backend, scope, config)),
      ln_pre_(backend, scope / "ln_pre", config.image.width, config.eps),
      ln_post_(backend, scope / "ln_post", config.image.width, config.eps),
      blocks_(make_blocks(backend, scope, config, config.image, /*causal=*/false)),
      proj_(bind_projection(backend,
                            scope.get("proj", {config.image.width, config.embed}, Init::normal(config.init_std)))) {}

Value ClipImageTower::tokens(const Value& pixels, const Probe& probe) const {
  const Value embedded = embedding_(pixels, probe);
  const Value normalised = ln_pre_(embedded);
  if (probe) {
    probe("embed", embedded);
    probe("ln_pre", normalised);
  }
  return apply_blocks(blocks_, normalised, probe);
}

Value ClipImageTower::features(const Value& pixels, const Probe& probe) const {
  const Value class_token = ln_post_(first_tokens(*backend_, tokens(pixels, probe)));
  if (probe) probe("ln_post_cls", class_token);
  return backend_->linear(class_token, proj_);
}

EncoderTower::EncoderTower(Backend& backend, const Scope& scope, const ClipConfig& config)
    : backend_(&backend),
      encoder_(make_image_encoder(backend, scope / "encoder", config.encoder.value())),
      proj_(bind_projection(backend,
                            scope.get("proj", {encoder_->width(), config.embed}, Init::normal(config.init_std)))) {}

std::unique_ptr<ImageTower> make_image_tower(Backend& backend, const Scope& scope, const ClipConfig& config) {
  if (config.encoder) return std::make_unique<EncoderTower>(backend, scope, config);
  return std::make_unique<ClipImageTower>(backend, scope, config);
}

std::vector<std::int64_t> places_of_largest(const HostTensor& ids) {
  const auto values = ids.values<std::int64_t>();
  const std::int64_t length = ids.shape()[1];
  std::vector<std::int64_t> places;
  for (std::int64_t row = 0; row < ids.shape()[0]; ++row) {
    const auto begin = values.begin() + row * length;
    places.push_back(std::max_element(begin, begin + length) - begin);
  }
  return places;
}

ClipTextTower::ClipTextTower(Backend& backend, const Scope& scope, const ClipConfig& config)
    : backend_(&backend),
      length_(config.text.length),
      token_embedding_(backend, scope / "token_embedding", config.text.vocab_size, config.text.width,
                       Init::normal(config.init_std)),
      positions_(backend.bind(
          scope.get("positional_embedding", {config.text.length, config.text.width}, Init::normal(config.init_std)))),
      blocks_(make_blocks(backend, scope, config, config.text, /*causal=*/true)),
      ln_final_(backend, scope / "ln_final", config.text.width, config.eps),
      proj_(bind_projection(
          backend, scope.get("text_projection", {config.text.width, config.embed}, Init::normal(config.init_std)))) {}

Value ClipTextTower::features(const HostTensor& ids, std::span<const std::int64_t> ends, const Probe& probe) const {
  if (ids.dtype() != DType::i64 || ids.shape().rank() != 2 || ids.numel() == 0 || ids.shape()[1] > length_)
    fail(ErrorCode::internal, "[clip_text] ids of shape {}; expected i64 [B, L] with 0 < L <= {}",
         to_string(ids.shape()), length_);
  const std::int64_t batch = ids.shape()[0], length = ids.shape()[1];
  if (ends.size() != static_cast<std::size_t>(batch))
    fail(ErrorCode::internal, "[clip_text] {} ends of {} texts", ends.size(), batch);
  const Value embedded = token_embedding_(backend_->upload(ids));
  if (probe) probe("token_embedding", embedded);
  const Value x = apply_blocks(blocks_, backend_->add(embedded, backend_->slice(positions_, 0, 0, length)), probe);
  const Value normalised = ln_final_(x);
  if (probe) probe("ln_final", normalised);

  HostTensor places(DType::i64, {batch});
  for (std::int64_t row = 0; row < batch; ++row)
    places.mutable_values<std::int64_t>()[static_cast<std::size_t>(row)] =
        row * length + ends[static_cast<std::size_t>(row)];
  const Value rows = backend_->reshape(normalised, {batch * length, normalised.shape()[2]});
  return backend_->linear(backend_->gather(rows, backend_->upload(places)), proj_);
}

std::map<std::string, HostTensor> clip_weights(const std::map<std::string, HostTensor>& bound) {
  std::map<std::string, HostTensor> weights;
  for (const auto& [name, value] : bound) {
    if (name.ends_with(kTransposed))
      weights.emplace(name.substr(0, name.size() - kTransposed.size()), value.transposed());
    else
      weights.emplace(name, value);
  }
  return weights;
}

}  // namespace capdiff
