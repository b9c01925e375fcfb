#include "capdiff/models/clip_encoder.h"

#include <algorithm>
#include <numeric>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr std::size_t kTextBatch = 64;

ParameterStore parameters_of(const ModelFolder& folder) {
  ParameterStore parameters;
  parameters.add(folder.weights());
  return parameters;
}

ClipBpe bpe_of(const ModelFolder& folder, const ClipConfig& config) {
  const std::filesystem::path path = folder.file("merges.txt");
  ClipBpe bpe = ClipBpe::load(path);
  if (bpe.size() != config.text.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but the model is for {}", path.string(), bpe.size(),
         config.text.vocab_size);
  return bpe;
}

Preprocessor preprocessor_of(const ModelFolder& folder, const ClipConfig& config) {
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(config.image.image_size);
  preprocessor.fit = Preprocessor::Fit::center_crop;
  if (const auto& json = folder.preprocessor_config())
    preprocessor = preprocessor_from_json(json->json(), json->source());
  if (preprocessor.size != config.image.image_size)
    fail(ErrorCode::invalid_model, "{}: pictures of {} pixels, but the model is for {}", folder.path().string(),
         preprocessor.size, config.image.image_size);
  return preprocessor;
}

std::size_t length_of(const EncodedText& text) {
  return static_cast<std::size_t>(std::ranges::count(text.attention_mask, 1));
}

}  // namespace

ClipEncoder::ClipEncoder(const ModelFolder& folder, Backend& backend)
    : backend_(&backend),
      config_(ClipConfig::from_json(folder.config())),
      parameters_(parameters_of(folder)),
      bpe_(bpe_of(folder, config_)),
      preprocessor_(preprocessor_of(folder, config_)),
      image_tower_(backend, Scope(parameters_) / "visual", config_),
      text_tower_(backend, Scope(parameters_), config_) {}

HostTensor ClipEncoder::images(std::span<const Image> images) const {
  const Value pixels = backend_->upload(preprocessor_.batch(images));
  return backend_->download(backend_->l2_normalize(image_tower_.features(pixels)));
}

ClipEncoder::Texts ClipEncoder::texts(std::span<const std::string> texts) const {
  Texts result{HostTensor(DType::f32, {static_cast<std::int64_t>(texts.size()), config_.embed})};
  std::vector<EncodedText> encoded;
  for (const std::string& text : texts) {
    encoded.push_back(bpe_.encode(text, config_.text.length));
    result.truncated += encoded.back().truncated ? 1 : 0;
  }
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return length_of(encoded[i]); });

  const auto width = static_cast<std::size_t>(config_.embed);
  const auto out = result.features.mutable_values<float>();
  for (std::size_t begin = 0; begin < order.size(); begin += kTextBatch) {
    const std::span<const std::size_t> batch =
        std::span(order).subspan(begin, std::min(kTextBatch, order.size() - begin));
    const auto length = static_cast<std::ptrdiff_t>(length_of(encoded[batch.back()]));
    HostTensor ids(DType::i64, {static_cast<std::int64_t>(batch.size()), length});
    auto next = ids.mutable_values<std::int64_t>().begin();
    for (const std::size_t i : batch) next = std::copy_n(encoded[i].ids.begin(), length, next);
    const HostTensor features = backend_->download(backend_->l2_normalize(text_tower_.features(ids)));
    for (std::size_t row = 0; row < batch.size(); ++row)
      std::ranges::copy(features.values<float>().subspan(row * width, width),
                        out.begin() + static_cast<std::ptrdiff_t>(batch[row] * width));
  }
  return result;
}

}  // namespace capdiff
