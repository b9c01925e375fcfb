#include "capdiff/models/word_space.h"

#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

Packed tied_head(Backend& backend, const Scope& scope, const WordSpaceConfig& config) {
  const Parameter weight =
      (scope / "word_embedding").get("weight", {config.vocab_size, config.width}, Init::normal(1.0f));
  const Parameter bias = (scope / "lm_head").get("bias", {config.vocab_size}, Init::zeros());
  return backend.bind_linear({&weight, 1}, {&bias, 1});
}

}  // namespace

WordSpace::WordSpace(Backend& backend, const Scope& scope, const WordSpaceConfig& config)
    : backend_(&backend),
      config_(config),
      embedding_(backend, scope / "word_embedding", config.vocab_size, config.width, Init::normal(1.0f)),
      head_(tied_head(backend, scope, config)) {}

Value WordSpace::logits(const Value& x0) const {
  if (config_.logits == WordLogits::dot) return dot_logits(x0);
  return backend_->upload(negative_distances(backend_->download(x0), table()));
}

HostTensor negative_distances(const HostTensor& x, const HostTensor& words) {
  const auto width = static_cast<std::size_t>(words.shape().cols());
  if (x.shape().rank() == 0 || static_cast<std::size_t>(x.shape().cols()) != width)
    fail(ErrorCode::internal, "[negative_distances] latents {} and words {}", to_string(x.shape()),
         to_string(words.shape()));
  std::vector<std::int64_t> shape = x.shape().sizes();
  shape.back() = words.shape()[0];
  HostTensor distances(DType::f32, Shape(shape));
  const auto latents = x.values<float>(), vocabulary = words.values<float>();
  auto out = distances.mutable_values<float>().begin();
  for (std::size_t row = 0; row < latents.size(); row += width)
    for (std::size_t word = 0; word < vocabulary.size(); word += width) {
      double squares = 0.0;
      for (std::size_t d = 0; d < width; ++d) {
        const double difference = static_cast<double>(latents[row + d]) - static_cast<double>(vocabulary[word + d]);
        squares += difference * difference;
      }
      *out++ = static_cast<float>(-std::sqrt(squares));
    }
  return distances;
}

}  // namespace capdiff
