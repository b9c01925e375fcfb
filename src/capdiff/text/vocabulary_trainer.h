#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "capdiff/text/vocabulary.h"

namespace capdiff {

/// How often each word of a corpus occurs, the words being those of `split_words`.
class WordCounts {
 public:
  /// Counts the words of one caption, as if it occurred `count` times. Words longer than `kMaxWordCodePoints` become
  /// [UNK] whatever the vocabulary, and are left out.
  void add(std::string_view caption, std::int64_t count = 1);

  const std::map<std::string, std::int64_t>& counts() const { return counts_; }

 private:
  std::map<std::string, std::int64_t> counts_;
};

struct VocabularyTrainerOptions {
  std::int64_t size = 8000;              ///< the most tokens the vocabulary may have, special ones included
  std::int64_t min_character_count = 2;  ///< rarer characters, and words that contain them, become [UNK]
  std::int64_t min_pair_count = 2;       ///< pieces that occur together less often are not merged
};

/// Trains a WordPiece vocabulary by byte-pair merging: every word starts as single characters, and the adjacent pair of
/// pieces that occurs most often in the corpus is merged until `size` tokens exist or no pair is frequent enough.
///
/// Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, "." 5, then the characters at the start of a word or ("##x")
/// inside one, most frequent first, then the merged pieces in the order in which they were made. Where `size` is too
/// small for all characters, the rarest are left out. Ties are broken by the text of the pieces, so that the same
/// counts give the same vocabulary everywhere. Throws Error(usage) where `size` leaves no room beside the first six.
Vocabulary train_vocabulary(const WordCounts& words, const VocabularyTrainerOptions& options = {});

}  // namespace capdiff
