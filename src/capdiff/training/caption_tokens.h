#pragma once

#include <span>
#include <string>
#include <vector>

#include "capdiff/models/split_bert.h"
#include "capdiff/text/wordpiece.h"

namespace capdiff {

/// Captions, cleaned and tokenised once: [N, L] in memory.
class EncodedCaptions {
 public:
  /// Captions keep their first `max_words` words.
  EncodedCaptions(const WordPieceTokenizer& tokenizer, std::int64_t length, std::int64_t max_words = 30)
      : tokenizer_(&tokenizer), length_(length), max_words_(max_words) {}

  /// Returns the index of the caption, or −1 where nothing is left of it after cleaning.
  std::int64_t add(std::string_view caption);

  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()) / length_; }
  std::int64_t length() const { return length_; }
  std::span<const std::int32_t> ids(std::int64_t index) const {
    return std::span(ids_).subspan(static_cast<std::size_t>(index * length_), static_cast<std::size_t>(length_));
  }
  /// The captions at `indices` as ids and mask [B, L].
  TokenBatch batch(std::span<const std::int64_t> indices) const;

 private:
  const WordPieceTokenizer* tokenizer_;
  std::int64_t length_, max_words_;
  std::vector<std::int32_t> ids_;
};

}  // namespace capdiff
