#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/text/encoded_text.h"
#include "capdiff/text/vocabulary.h"
#include "capdiff/text/vocabulary_trainer.h"

namespace capdiff {

/// The words of a text as Prefix-diffusion reads captions: those of `split_words`, without punctuation.
std::vector<std::string> caption_words(std::string_view text);

/// A vocabulary of whole words: word i stands in line i (from 0) of `vocab.txt`. The special ones are START, END, UNK
/// and PAD, in capitals, which no word of a caption has.
class WordVocabulary {
 public:
  /// `origin` names the source in errors. Throws Error(invalid_model) where a word is empty or occurs twice, or a
  /// special one is missing.
  WordVocabulary(std::vector<std::string> words, std::string_view origin);
  /// Reads `vocab.txt`; files over 16 MiB are refused.
  static WordVocabulary load(const std::filesystem::path& path);
  /// START, END, UNK, PAD and the words that occur at least `min_count` times, most frequent first and by their letters
  /// where they are equally so; at most `max_size` in all. Throws Error(usage) where there is no room for a word.
  static WordVocabulary of(const WordCounts& counts, std::int64_t min_count, std::int64_t max_size);

  void save(const std::filesystem::path& path) const;

  std::int64_t size() const { return static_cast<std::int64_t>(words_.size()); }
  const std::vector<std::string>& words() const { return words_; }
  /// Throws Error(invalid_input) for an id outside [0, size).
  const std::string& word(std::int64_t id) const;
  /// The id of a word, or of UNK.
  std::int64_t id(std::string_view word) const;
  bool is_special(std::int64_t id) const;

  std::int64_t start() const { return start_; }
  std::int64_t end() const { return end_; }
  std::int64_t unk() const { return unk_; }
  std::int64_t pad() const { return pad_; }

  /// The words of a caption, cut off or padded with PAD to exactly `length`. The mask is 1 on words.
  EncodedText encode(std::string_view caption, std::int64_t length) const;
  /// The words before the first PAD or END, without START and UNK, with spaces between them.
  std::string text(std::span<const std::int64_t> ids) const;

 private:
  std::vector<std::string> words_;
  TokenIds ids_;
  std::int64_t start_, end_, unk_, pad_;
};

struct ReleasedSentence {
  bool cut_at_pad = false;        ///< the released code cuts at END only
  bool keep_punctuation = false;  ///< the released code deletes it, and spaces around it stay
};

/// What Prefix-diffusion's released code makes of words between spaces: cut at END, without START, without spaces at
/// both ends, the first letter large and all others small, without ASCII punctuation.
std::string released_sentence(std::string_view words, const ReleasedSentence& options = {});

}  // namespace capdiff
