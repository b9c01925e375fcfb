#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/nn/layers.h"
#include "capdiff/nn/probe.h"
#include "capdiff/nn/transformer.h"

namespace capdiff {

enum class MapperKind {
  mlp,          ///< Linear, ReLU, Linear, as Prefix-diffusion
  transformer,  ///< learned queries beside the image feature in a transformer, as ClipCap (arXiv 2111.09734)
};

struct PrefixMapperConfig {
  MapperKind kind = MapperKind::mlp;
  std::int64_t feature = 768;     ///< F, width of the image feature
  std::int64_t prefix = 5;        ///< P, tokens that it becomes
  std::int64_t hidden = 768;      ///< W, width of each
  std::int64_t mlp_width = 1536;  ///< mlp only
  std::int64_t layers = 8;        ///< transformer only
  std::int64_t heads = 8;         ///< transformer only
  float dropout = 0.1f;           ///< mlp only
  float init_std = kInitStd;
};

/// Turns the feature of a picture into tokens. Parameters `model.0` and `model.3` of the MLP; `linear`, `prefix_const`
/// and `transformer.N.…` of the transformer.
class PrefixMapper {
 public:
  PrefixMapper() = default;
  PrefixMapper(Backend& backend, const Scope& scope, const PrefixMapperConfig& config);

  /// [B, F] → [B, P, W]
  Value operator()(const Value& feature) const;

 private:
  Value by_transformer(const Value& feature) const;

  Backend* backend_ = nullptr;
  PrefixMapperConfig config_;
  Linear first_, second_;
  Value queries_;  ///< [P, W]
  std::vector<PreNormBlock> blocks_;
};

}  // namespace capdiff
