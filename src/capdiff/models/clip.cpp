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
  json.reject_unknown_keys();
}

/// A projection that is stored [width, E], as x P, for products that want [E, width].
Packed bind_projection(Backend& backend, const Parameter& projection) {
  const Parameter parameter{projection.name + ".transposed", projection.value.transposed()};
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

PatchEmbedding embedding(Backend& backend, const Scope& scope, const ClipImageConfig& image) {
  const std::int64_t side = image.image_size / image.patch;
  const Init init = Init::normal(kInitStd);
  return {backend, scope.get("conv1.weight", {image.width, 3, image.patch, image.patch}, init), std::nullopt,
          scope.get("class_embedding", {image.width}, init),
          scope.get("positional_embedding", {1 + side * side, image.width}, init)};
}

}  // namespace

ClipConfig ClipConfig::from_json(const JsonReader& json) {
  json.get_choice("model_type", {"clip"});
  ClipConfig config;
  config.embed = json.get_int("embed_dim", 1, kMaxWidth);
  config.activation = json.get_choice("activation", {"quick_gelu", "gelu"}, "quick_gelu") == "gelu"
                          ? Activation::gelu
                          : Activation::quick_gelu;
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  const JsonReader image = json.get_object("image_encoder"), text = json.get_object("text_encoder");
  config.image.image_size = image.get_int("image_size", 1, kMaxSide);
  config.image.patch = image.get_int("patch", 1, config.image.image_size);
  read_transformer(image, config.image);
  config.text.vocab_size = text.get_int("vocab_size", 1, kMaxVocabulary);
  config.text.length = text.get_int("length", 2, kMaxLength);
  read_transformer(text, config.text);
  json.reject_unknown_keys();
  return config;
}

nlohmann::json ClipConfig::to_json() const {
  return {{"model_type", "clip"},
          {"embed_dim", embed},
          {"activation", activation == Activation::gelu ? "gelu" : "quick_gelu"},
          {"eps", eps},
          {"image_encoder",
           {{"image_size", image.image_size},
            {"patch", image.patch},
            {"width", image.width},
            {"depth", image.depth},
            {"heads", image.heads},
            {"mlp", image.mlp}}},
          {"text_encoder",
           {{"vocab_size", text.vocab_size},
            {"length", text.length},
            {"width", text.width},
            {"depth", text.depth},
            {"heads", text.heads},
            {"mlp", text.mlp}}}};
}

ClipImageTower::ClipImageTower(Backend& backend, const Scope& scope, const ClipConfig& config)
    : backend_(&backend),
      embedding_(embedding(backend, scope, config.image)),
      ln_pre_(backend, scope / "ln_pre", config.image.width, config.eps),
      ln_post_(backend, scope / "ln_post", config.image.width, config.eps),
      blocks_(make_blocks(backend, scope, config, config.image, /*causal=*/false)),
      proj_(bind_projection(backend, scope.get("proj", {config.image.width, config.embed}, Init::normal(kInitStd)))) {}

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

ClipTextTower::ClipTextTower(Backend& backend, const Scope& scope, const ClipConfig& config)
    : backend_(&backend),
      length_(config.text.length),
      token_embedding_(backend, scope / "token_embedding", config.text.vocab_size, config.text.width,
                       Init::normal(kInitStd)),
      positions_(backend.bind(
          scope.get("positional_embedding", {config.text.length, config.text.width}, Init::normal(kInitStd)))),
      blocks_(make_blocks(backend, scope, config, config.text, /*causal=*/true)),
      ln_final_(backend, scope / "ln_final", config.text.width, config.eps),
      proj_(bind_projection(backend,
                            scope.get("text_projection", {config.text.width, config.embed}, Init::normal(kInitStd)))) {}

Value ClipTextTower::features(const HostTensor& ids, const Probe& probe) const {
  if (ids.dtype() != DType::i64 || ids.shape().rank() != 2 || ids.numel() == 0 || ids.shape()[1] > length_)
    fail(ErrorCode::internal, "[clip_text] ids of shape {}; expected i64 [B, L] with 0 < L <= {}",
         to_string(ids.shape()), length_);
  const std::int64_t batch = ids.shape()[0], length = ids.shape()[1];
  const Value embedded = token_embedding_(backend_->upload(ids));
  if (probe) probe("token_embedding", embedded);
  const Value x = apply_blocks(blocks_, backend_->add(embedded, backend_->slice(positions_, 0, 0, length)), probe);
  const Value normalised = ln_final_(x);
  if (probe) probe("ln_final", normalised);

  HostTensor ends(DType::i64, {batch});
  const auto values = ids.values<std::int64_t>();
  for (std::int64_t row = 0; row < batch; ++row) {
    const auto begin = values.begin() + row * length;
    ends.mutable_values<std::int64_t>()[static_cast<std::size_t>(row)] =
        std::max_element(begin, begin + length) - values.begin();
  }
  const Value rows = backend_->reshape(normalised, {batch * length, normalised.shape()[2]});
  return backend_->linear(backend_->gather(rows, backend_->upload(ends)), proj_);
}

}  // namespace capdiff
