#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/evaluation/clip_score.h"
#include "capdiff/evaluation/golden_tensors.h"
#include "capdiff/evaluation/verify_kinds.h"
#include "capdiff/formats/json_reader.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/clip.h"
#include "capdiff/models/cosines.h"

namespace capdiff {
namespace {

using Json = nlohmann::json;

/// Of a tensor's largest number: an order of magnitude above what float32 does to the reference.
constexpr double kRelative = 1e-5;
constexpr double kLogitsRelative = 2e-5;
constexpr double kPixels = 1e-6;
constexpr double kCosines = 1e-5;
/// Heads of OpenAI's towers are so wide.
constexpr std::int64_t kHeadWidth = 64;

ClipConfig config_of(const Json& golden) {
  const Json& sizes = golden.at("config");
  ClipConfig config;
  config.embed = sizes.at("embed_dim");
  config.image.image_size = sizes.at("image_resolution");
  config.image.patch = sizes.at("vision_patch_size");
  config.image.width = sizes.at("vision_width");
  config.image.depth = sizes.at("vision_layers");
  config.image.heads = golden.value("vision_heads", config.image.width / kHeadWidth);
  config.image.mlp = 4 * config.image.width;
  config.text.vocab_size = sizes.at("vocab_size");
  config.text.length = sizes.at("context_length");
  config.text.width = sizes.at("transformer_width");
  config.text.depth = sizes.at("transformer_layers");
  config.text.heads = sizes.at("transformer_heads");
  config.text.mlp = 4 * config.text.width;
  return config;
}

/// A picture u8 [H, W, 3], or [H, W, 1] in grey.
Image picture_of(const HostTensor& stored) {
  const std::int64_t channels = stored.shape()[-1];
  if (stored.shape().rank() != 3 || (channels != 1 && channels != 3))
    fail(ErrorCode::invalid_input, "a picture of shape {}", to_string(stored.shape()));
  std::vector<std::uint8_t> rgb;
  for (const std::uint8_t value : stored.values<std::uint8_t>()) rgb.insert(rgb.end(), channels == 1 ? 3 : 1, value);
  return {static_cast<int>(stored.shape()[1]), static_cast<int>(stored.shape()[0]), std::move(rgb)};
}

class ClipVerification {
 public:
  ClipVerification(const std::filesystem::path& folder, Backend& backend, GoldenReport& report)
      : golden_(read_json(folder / "golden.json")),
        config_(config_of(golden_)),
        parameters_(state_dict(folder)),
        backend_(backend),
        tensors_(
            SafetensorsFile::open(folder / "golden.safetensors"),
            [this](const std::string& name) { return tolerance(name); }, report) {}

  /// The pictures, prepared; behind them may stand others that were prepared already.
  void pictures() {
    Preprocessor preprocessor;
    preprocessor.size = static_cast<int>(config_.image.image_size);
    preprocessor.fit = Preprocessor::Fit::center_crop;
    std::vector<Image> images;
    while (tensors_.contains("raw_u8." + std::to_string(images.size())))
      images.push_back(picture_of(tensors_.input("raw_u8." + std::to_string(images.size()))));
    const HostTensor stored = tensors_.file().tensor("image"), prepared = preprocessor.batch(images);
    HostTensor all(DType::f32, stored.shape());
    std::ranges::copy(stored.values<float>(), all.mutable_values<float>().begin());
    if (prepared.numel() > all.numel()) fail(ErrorCode::invalid_input, "there are more pictures than images");
    std::ranges::copy(prepared.values<float>(), all.mutable_values<float>().begin());
    tensors_.compare("image", all);
  }

  void image_tower() {
    const ClipImageTower tower(backend_, Scope(parameters_) / "visual", config_);
    image_ = features("image", tower.features(backend_.upload(tensors_.file().tensor("image")), probe("img.")));
  }

  void text_tower() {
    const ClipTextTower tower(backend_, Scope(parameters_), config_);
    const HostTensor ids = tensors_.input("ids");
    text_ = features("text", tower.features(ids, places_of_largest(ids), probe("txt.")));
  }

  void logits() {
    const Parameter scale = parameters_.get("logit_scale", {}, Init::zeros());
    const float factor = std::exp(scale.value.to(DType::f32).values<float>()[0]);
    for (const auto& [name, rows, columns] :
         {std::tuple("logits_per_image", image_, text_), std::tuple("logits_per_text", text_, image_)}) {
      HostTensor scaled = cosines(rows, columns);
      for (float& value : scaled.mutable_values<float>()) value *= factor;
      tensors_.compare(name, scaled);
    }
    tensors_.report().compare_json("logit_scale_param", golden_.at("logit_scale_param"),
                                   scale.value.to(DType::f32).values<float>()[0], kCosines);
  }

  /// CLIPScore of pairs of an image and a text, some texts being references of others.
  void scores() {
    const Json& section = golden_.at("clipscore");
    const double weight = section.at("w");
    const HostTensor image_text = cosines(image_, text_), text_text = cosines(text_, text_);
    std::vector<double> clip, best, ref_clip;
    for (std::size_t i = 0; i < section.at("pairs_image_text").size(); ++i) {
      const auto pair = section.at("pairs_image_text").at(i).get<std::array<std::int64_t, 2>>();
      clip.push_back(clip_score(at(image_text, pair[0], pair[1]), weight));
      best.push_back(-1.0);
      for (const std::int64_t reference : section.at("refs_text_index").at(i).get<std::vector<std::int64_t>>())
        best.back() = std::max(best.back(), at(text_text, pair[1], reference));
      ref_clip.push_back(ref_clip_score(clip.back(), best.back()));
    }
    const double mean = mean_over_images(clip).corpus;
    const auto compare = [&](const char* key, const Json& computed) {
      tensors_.report().compare_json(std::string("clipscore.") + key, section.at(key), computed, kCosines);
    };
    compare("per", clip);
    compare("mean", mean);
    compare("ref_only_max_cos", best);
    compare("refclipscore", ref_clip);
  }

  void finish() { tensors_.finish(); }

 private:
  Tolerance tolerance(const std::string& name) const {
    if (name == "image") return {kPixels};
    return {largest_magnitude(tensors_.file().tensor(name)) *
            (name.starts_with("logits_") ? kLogitsRelative : kRelative)};
  }

  Probe probe(const std::string& prefix) {
    return [this, prefix](std::string_view name, const Value& value) {
      tensors_.compare_if_stored(prefix + std::string(name), backend_.download(value));
    };
  }

  /// Compares a tower's features and returns them with length 1.
  HostTensor features(const std::string& kind, const Value& value) {
    tensors_.compare(kind + "_features", backend_.download(value));
    HostTensor unit = backend_.download(backend_.l2_normalize(value));
    tensors_.compare(kind + "_features_normed", unit);
    return unit;
  }

  static double at(const HostTensor& matrix, std::int64_t row, std::int64_t column) {
    if (row < 0 || column < 0 || row >= matrix.shape()[0] || column >= matrix.shape()[1])
      fail(ErrorCode::invalid_input, "golden.json: pair {}, {} of {}", row, column, to_string(matrix.shape()));
    return matrix.values<float>()[static_cast<std::size_t>(row * matrix.shape()[1] + column)];
  }

  Json golden_;
  ClipConfig config_;
  ParameterStore parameters_;
  Backend& backend_;
  GoldenTensors tensors_;
  HostTensor image_, text_;  ///< [N, E], rows of length 1
};

}  // namespace

GoldenReport verify_clip(const std::filesystem::path& folder, Backend& backend) {
  GoldenReport report;
  ClipVerification v(folder, backend, report);
  report.part("image", [&] { v.pictures(); });
  report.part("img", [&] { v.image_tower(); });
  report.part("txt", [&] { v.text_tower(); });
  report.part("logits", [&] { v.logits(); });
  report.part("json.clipscore", [&] { v.scores(); });
  v.finish();
  return report;
}

}  // namespace capdiff
