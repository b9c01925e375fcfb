#include "capdiff/training/caption_tokens.h"

#include "capdiff/text/clean_caption.h"

namespace capdiff {

EncodedCaptions::EncodedCaptions(const WordPieceTokenizer& tokenizer, std::int64_t length, std::int64_t max_words)
    : EncodedCaptions(
          [&tokenizer, length, max_words](std::string_view caption) -> std::vector<std::int64_t> {
            EncodedText encoded =
                tokenizer.encode(clean_caption(caption, {.max_words = static_cast<std::size_t>(max_words)}), length);
            if (length < 3 || encoded.attention_mask[2] == 0) return {};
            return std::move(encoded.ids);
          },
          length, tokenizer.vocabulary().pad()) {}

std::int64_t EncodedCaptions::add(std::string_view caption) {
  const std::vector<std::int64_t> ids = encode_(caption);
  if (ids.empty()) return -1;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  return size() - 1;
}

TokenBatch EncodedCaptions::batch(std::span<const std::int64_t> indices) const {
  const auto rows = static_cast<std::int64_t>(indices.size());
  TokenBatch batch{HostTensor(DType::i64, {rows, length_}), HostTensor(DType::f32, {rows, length_})};
  const auto out = batch.ids.mutable_values<std::int64_t>();
  const auto mask = batch.mask.mutable_values<float>();
  std::size_t at = 0;
  for (const std::int64_t index : indices) {
    for (const std::int32_t id : ids(index)) {
      out[at] = id;
      mask[at] = id == pad_ ? 0.0f : 1.0f;
      ++at;
    }
  }
  return batch;
}

}  // namespace capdiff
