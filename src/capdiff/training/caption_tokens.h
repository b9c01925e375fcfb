#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/models/split_bert.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// Captions, cleaned and tokenised once: [N, L] in memory.
class EncodedCaptions {
 public:
  /// The ids of a caption, exactly L of them, or none where no word is left of it.
  using Encode = std::function<std::vector<std::int64_t>(std::string_view caption)>;

  EncodedCaptions(Encode encode, std::int64_t length, std::int64_t pad)
      : encode_(std::move(encode)), length_(length), pad_(pad) {}
  /// Word pieces between [CLS] and [SEP], of the caption's first `max_words` words. The tokeniser must outlive the
  /// captions.
  EncodedCaptions(const WordPieceTokenizer& tokenizer, std::int64_t length, std::int64_t max_words = 30);

  /// Returns the index of the caption, or −1 where nothing is left of it after cleaning.
  std::int64_t add(std::string_view caption);

  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()) / length_; }
  std::int64_t length() const { return length_; }
  std::span<const std::int32_t> ids(std::int64_t index) const {
    return std::span(ids_).subspan(static_cast<std::size_t>(index * length_), static_cast<std::size_t>(length_));
  }
  /// The captions at `indices` as ids and mask [B, L], which is 0 on padding.
  TokenBatch batch(std::span<const std::int64_t> indices) const;

 private:
  Encode encode_;
  std::int64_t length_, pad_;
  std::vector<std::int32_t> ids_;
};

}  // namespace capdiff
