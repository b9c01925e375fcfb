#include "capdiff/models/clip_encoder.h"

#include <algorithm>
#include <numeric>

#include "capdiff/base/error.h"
#include "capdiff/text/clean_caption.h"

namespace capdiff {
namespace {

constexpr std::size_t kTextBatch = 64;

ParameterStore parameters_of(const ModelFolder& folder) {
  ParameterStore parameters;
  parameters.add(folder.weights());
  return parameters;
}

std::variant<ClipBpe, WordPieceTokenizer> tokenizer_of(const ModelFolder& folder, const ClipTextConfig& config) {
  const auto of_right_size = [&](const std::filesystem::path& path, std::int64_t size) {
    if (size != config.vocab_size)
      fail(ErrorCode::invalid_model, "{}: {} tokens, but the model is for {}", path.string(), size, config.vocab_size);
  };
  if (config.tokens == ClipTokens::wordpiece) {
    const std::filesystem::path path = folder.file("vocab.txt");
    WordPieceTokenizer tokenizer(Vocabulary::load(path));
    of_right_size(path, tokenizer.vocabulary().size());
    return tokenizer;
  }
  const std::filesystem::path path = folder.file("merges.txt");
  ClipBpe bpe = ClipBpe::load(path);
  of_right_size(path, bpe.size());
  return bpe;
}

Preprocessor preprocessor_of(const ModelFolder& folder, const ClipConfig& config) {
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(config.image_size());
  preprocessor.fit = Preprocessor::Fit::center_crop;
  if (const auto& json = folder.preprocessor_config())
    preprocessor = preprocessor_from_json(json->json(), json->source());
  if (preprocessor.size != config.image_size())
    fail(ErrorCode::invalid_model, "{}: pictures of {} pixels, but the model is for {}", folder.path().string(),
         preprocessor.size, config.image_size());
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
      tokenizer_(tokenizer_of(folder, config_.text)),
      preprocessor_(preprocessor_of(folder, config_)),
      image_tower_(make_image_tower(backend, Scope(parameters_) / "visual", config_)),
      text_tower_(backend, Scope(parameters_), config_) {}

HostTensor ClipEncoder::images(std::span<const Image> images) const {
  const Value pixels = backend_->upload(preprocessor_.batch(images));
  return backend_->download(backend_->l2_normalize(image_tower_->features(pixels)));
}

EncodedText ClipEncoder::encode(const std::string& text) const {
  if (const auto* bpe = std::get_if<ClipBpe>(&tokenizer_)) return bpe->encode(text, config_.text.length);
  return std::get<WordPieceTokenizer>(tokenizer_).encode(clean_caption(text), config_.text.length);
}

std::vector<std::int64_t> ClipEncoder::ends_of(const HostTensor& ids, std::span<const std::size_t> lengths) const {
  if (config_.text.tokens == ClipTokens::bpe) return places_of_largest(ids);
  std::vector<std::int64_t> ends;
  for (const std::size_t length : lengths) ends.push_back(static_cast<std::int64_t>(length) - 1);
  return ends;
}

ClipEncoder::Texts ClipEncoder::texts(std::span<const std::string> texts) const {
  Texts result{HostTensor(DType::f32, {static_cast<std::int64_t>(texts.size()), config_.embed})};
  std::vector<EncodedText> encoded;
  for (const std::string& text : texts) {
    encoded.push_back(encode(text));
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
    std::vector<std::size_t> lengths;
    for (const std::size_t i : batch) {
      next = std::copy_n(encoded[i].ids.begin(), length, next);
      lengths.push_back(length_of(encoded[i]));
    }
    const HostTensor features =
        backend_->download(backend_->l2_normalize(text_tower_.features(ids, ends_of(ids, lengths))));
    for (std::size_t row = 0; row < batch.size(); ++row)
      std::ranges::copy(features.values<float>().subspan(row * width, width),
                        out.begin() + static_cast<std::ptrdiff_t>(batch[row] * width));
  }
  return result;
}

}  // namespace capdiff
