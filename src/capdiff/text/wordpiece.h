#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/text/encoded_text.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff {

/// BERT's uncased WordPiece tokeniser. The five special tokens are recognised wherever their text occurs, in capitals
/// as they are written; everything else goes through `split_words`, and each word is cut from the left into the longest
/// pieces of the vocabulary. A word that cannot be cut completely, or is longer than `kMaxWordCodePoints`, is [UNK].
class WordPieceTokenizer {
 public:
  explicit WordPieceTokenizer(Vocabulary vocabulary);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// The pieces of `text`, without [CLS] and [SEP].
  std::vector<std::string> tokenize(std::string_view text) const;
  std::vector<std::int64_t> tokenize_to_ids(std::string_view text) const;
  /// The same with special tokens taken for the text that they are written with.
  std::vector<std::string> tokenize_literally(std::string_view text) const;

  /// [CLS] pieces [SEP], padded with [PAD] or with its last pieces cut off to exactly `length`, which must be at
  /// least 2.
  EncodedText encode(std::string_view text, std::int64_t length) const;

 private:
  std::vector<std::string> tokens_of(const std::vector<std::int64_t>& ids) const;
  void append_plain_text(std::vector<std::int64_t>& ids, std::string_view text) const;
  void append_word(std::vector<std::int64_t>& ids, std::string_view word) const;

  Vocabulary vocabulary_;
  TokenIds continuations_;         // by their text without "##"
  std::size_t longest_piece_ = 0;  // bytes
};

}  // namespace capdiff
