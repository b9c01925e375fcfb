#include "capdiff/training/caption_tokens.h"

#include "capdiff/text/clean_caption.h"

namespace capdiff {

std::int64_t EncodedCaptions::add(std::string_view caption) {
  const EncodedText encoded =
      tokenizer_->encode(clean_caption(caption, {.max_words = static_cast<std::size_t>(max_words_)}), length_);
  if (length_ < 3 || encoded.attention_mask[2] == 0) return -1;
  ids_.insert(ids_.end(), encoded.ids.begin(), encoded.ids.end());
  return size() - 1;
}

TokenBatch EncodedCaptions::batch(std::span<const std::int64_t> indices) const {
  const auto rows = static_cast<std::int64_t>(indices.size());
  TokenBatch batch{HostTensor(DType::i64, {rows, length_}), HostTensor(DType::f32, {rows, length_})};
  const auto out = batch.ids.mutable_values<std::int64_t>();
  const auto mask = batch.mask.mutable_values<float>();
  const std::int64_t pad = tokenizer_->vocabulary().pad();
  std::size_t at = 0;
  for (const std::int64_t index : indices) {
    for (const std::int32_t id : ids(index)) {
      out[at] = id;
      mask[at] = id == pad ? 0.0f : 1.0f;
      ++at;
    }
  }
  return batch;
}

}  // namespace capdiff
