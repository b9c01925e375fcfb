#include "capdiff/evaluation/prefix_alignment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "capdiff/base/error.h"
#include "capdiff/models/cosines.h"

namespace capdiff {
namespace {

/// The mean of the tokens [B, n, W] that `mask` [B, n] counts, of length 1 → f32 [B, W].
HostTensor mean_direction(Backend& backend, const HostTensor& tokens, const HostTensor& mask) {
  const std::int64_t batch = tokens.shape()[0], count = tokens.shape()[1];
  const Value masked = backend.mul(backend.upload(tokens), backend.upload(mask.reshaped({batch, count, 1})));
  return backend.download(backend.l2_normalize(backend.mean(masked, 1)));
}

struct Directions {
  HostTensor picture;   ///< f32 [1, W]
  HostTensor captions;  ///< f32 [C, W]
};

Directions directions_of(Backend& backend, const PrefixModel& model, const WordVocabulary& vocabulary,
                         const HostTensor& feature, const std::vector<std::string>& captions) {
  const auto rows = static_cast<std::int64_t>(captions.size());
  const std::int64_t length = model.config().length;
  HostTensor ids(DType::i64, {rows, length}), words(DType::f32, {rows, length});
  auto next_id = ids.mutable_values<std::int64_t>().begin();
  auto next_word = words.mutable_values<float>().begin();
  for (const std::string& caption : captions) {
    const EncodedText encoded = vocabulary.encode(caption, length);
    next_id = std::ranges::copy(encoded.ids, next_id).out;
    next_word = std::ranges::copy(encoded.attention_mask, next_word).out;
  }
  HostTensor image_tokens, text_tokens;
  const Probe probe = [&](std::string_view name, const Value& value) {
    if (name == "img_tokens") image_tokens = backend.download(value);
    if (name == "text_tokens") text_tokens = backend.download(value);
  };
  const Prefix prefix = model.denoiser().prefix(backend.upload(feature), probe);
  model.denoiser()(model.words().embed(backend.upload(ids)), HostTensor(DType::f32, {rows}),
                   std::array{PrefixedRows{rows, &prefix}}, probe);
  HostTensor all(DType::f32, {1, image_tokens.shape()[1]});
  std::ranges::fill(all.mutable_values<float>(), 1.0f);
  return {mean_direction(backend, image_tokens, all), mean_direction(backend, text_tokens, words)};
}

std::string bars(const char* name, const CosineDistribution& distribution) {
  constexpr std::int64_t kLongest = 50;
  std::string text = fmt::format("{}: mean {:.4f}, deviation {:.4f}, {} pairs\n", name, distribution.mean,
                                 distribution.deviation, distribution.count);
  const std::int64_t most = std::max<std::int64_t>(1, *std::ranges::max_element(distribution.histogram));
  for (std::size_t bin = 0; bin < CosineDistribution::kBins; ++bin) {
    if (distribution.histogram[bin] == 0) continue;
    text += fmt::format("  {:5.2f} {} {}\n", -1.0 + 2.0 * static_cast<double>(bin) / CosineDistribution::kBins,
                        std::string(static_cast<std::size_t>(distribution.histogram[bin] * kLongest / most), '#'),
                        distribution.histogram[bin]);
  }
  return text;
}

nlohmann::ordered_json json_of(const CosineDistribution& distribution) {
  return {{"count", distribution.count},
          {"mean", distribution.mean},
          {"deviation", distribution.deviation},
          {"histogram", distribution.histogram}};
}

}  // namespace

CosineDistribution cosine_distribution(std::span<const double> cosines) {
  CosineDistribution distribution{.count = static_cast<std::int64_t>(cosines.size())};
  if (cosines.empty()) return distribution;
  const auto count = static_cast<double>(cosines.size());
  distribution.mean = std::accumulate(cosines.begin(), cosines.end(), 0.0) / count;
  double squares = 0.0;
  constexpr double kBins = CosineDistribution::kBins;
  for (const double cosine : cosines) {
    squares += (cosine - distribution.mean) * (cosine - distribution.mean);
    const double bin = std::clamp((cosine + 1.0) / 2.0 * kBins, 0.0, kBins - 1.0);
    ++distribution.histogram[static_cast<std::size_t>(bin)];
  }
  distribution.deviation = std::sqrt(squares / count);
  return distribution;
}

PrefixAlignment prefix_alignment(Backend& backend, const PrefixModel& model, const WordVocabulary& vocabulary,
                                 const HostTensor& features, std::span<const std::vector<std::string>> captions) {
  if (captions.size() < 2 || features.shape()[0] != static_cast<std::int64_t>(captions.size()))
    fail(ErrorCode::invalid_input, "an alignment needs two pictures with captions or more; here are {} pictures and {}",
         features.shape()[0], captions.size());
  std::vector<Directions> directions;
  for (std::size_t i = 0; i < captions.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    directions.push_back(directions_of(backend, model, vocabulary, features.slice(row, row + 1), captions[i]));
  }
  std::vector<double> own, others;
  std::int64_t nearer = 0, pairs = 0;
  for (std::size_t i = 0; i < directions.size(); ++i) {
    const HostTensor mine = cosines(directions[i].picture, directions[i].captions);
    const HostTensor theirs = cosines(directions[i].picture, directions[(i + 1) % directions.size()].captions);
    own.insert(own.end(), mine.values<float>().begin(), mine.values<float>().end());
    others.insert(others.end(), theirs.values<float>().begin(), theirs.values<float>().end());
    for (const float a : mine.values<float>())
      for (const float b : theirs.values<float>()) {
        nearer += a > b ? 1 : 0;
        ++pairs;
      }
  }
  return {cosine_distribution(own), cosine_distribution(others),
          static_cast<double>(nearer) / static_cast<double>(pairs)};
}

nlohmann::ordered_json to_json(const PrefixAlignment& alignment) {
  return {{"own", json_of(alignment.own)},
          {"others", json_of(alignment.others)},
          {"own_is_nearer", alignment.own_is_nearer}};
}

std::string to_text(const PrefixAlignment& alignment) {
  return bars("own captions", alignment.own) + bars("captions of the next picture", alignment.others) +
         fmt::format("the own caption is nearer in {:.1f} % of the pairs\n", 100.0 * alignment.own_is_nearer);
}

}  // namespace capdiff
