#include "capdiff/models/word_clamp.h"

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

double squared_length(std::span<const float> x) {
  double sum = 0.0;
  for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

}  // namespace

Clamping::Kind clamping_kind(std::string_view name) {
  for (const Clamping::Kind kind : {Clamping::Kind::none, Clamping::Kind::hard, Clamping::Kind::soft})
    if (name == name_of(kind)) return kind;
  fail(ErrorCode::usage, "unknown clamping '{}'; known: none, hard, soft", name);
}

std::string_view name_of(Clamping::Kind kind) {
  switch (kind) {
    case Clamping::Kind::none: return "none";
    case Clamping::Kind::hard: return "hard";
    case Clamping::Kind::soft: return "soft";
  }
  return "";
}

WordClamp::WordClamp(Backend& backend, const HostTensor& words) : backend_(&backend), table_(backend.upload(words)) {
  const auto width = static_cast<std::size_t>(words.shape().cols());
  HostTensor offsets(DType::f32, {words.shape()[0]});
  for (std::size_t word = 0; word < offsets.values<float>().size(); ++word)
    offsets.mutable_values<float>()[word] =
        static_cast<float>(-0.5 * squared_length(words.values<float>().subspan(word * width, width)));
  const Parameter rows{"clamp.words", words}, bias{"clamp.offsets", offsets};
  const Parameter columns{"clamp.columns", words.transposed()};
  words_ = backend.bind_linear({&rows, 1}, {&bias, 1});
  columns_ = backend.bind_linear({&columns, 1}, {});
}

Value WordClamp::nearness(const Value& x) const {
  return backend_->linear(x, words_);
}

Value WordClamp::nearest(const Value& x) const {
  return backend_->argmax(nearness(x));
}

Value WordClamp::operator()(const Value& x0, const Clamping& clamping) const {
  switch (clamping.kind) {
    case Clamping::Kind::none: return x0;
    case Clamping::Kind::hard: return backend_->embedding(table_, nearest(x0));
    case Clamping::Kind::soft: break;
  }
  // −‖x − w‖² = 2 (x · w − ‖w‖² / 2) − ‖x‖², and softmax does not see what all words have in common.
  const Value near = nearness(x0);
  const Value scaled = backend_->scale_add(static_cast<float>(2.0 / clamping.temperature), near, 0.0f, near);
  return backend_->linear(backend_->softmax(scaled), columns_);
}

}  // namespace capdiff
