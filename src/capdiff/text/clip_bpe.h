#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "capdiff/text/encoded_text.h"

namespace capdiff {

/// CLIP's byte-pair tokeniser (Radford et al. 2021; merges as Sennrich et al. 2016). A text is cleaned and cut into
/// pieces:
/// 1. references of HTML are replaced, twice; runs of white space become one space, and go at both ends;
/// 2. the whole string becomes lower case, with Unicode's final sigma;
/// 3. a piece is, whatever matches first: <|startoftext|> or <|endoftext|>; 's 't 're 've 'm 'll 'd; a run of letters;
///    one number character; a run of anything else but white space. White space separates, and is gone.
/// The UTF-8 bytes of a piece, the last one marked as the end of a word, are merged pair by pair, all occurrences of
/// the pair that was learned first before any other, until no known pair is left. Texts that need repair (mojibake,
/// compatibility forms) are not repaired.
///
/// Tokens are written in an alphabet of 256 printing characters, one a byte, with "</w>" at the end of a word:
/// "cafÃ©</w>". Ids: 256 bytes, the same at the end of a word, the M merges in their order, <|startoftext|>,
/// <|endoftext|>; CLIP has M = 48,894 and so 49,408 ids.
class ClipBpe {
 public:
  /// Reads the text of `bpe_simple_vocab_16e6.txt` or of a Hugging Face `merges.txt`: a line that may say "#version",
  /// then one merge a line, its two halves separated by a space; what follows CLIP's last merge is passed over. Throws
  /// `Error(invalid_model)` that names `origin` and the line where halves are no tokens of lines above, or make a token
  /// that is there already.
  static ClipBpe parse(std::string_view merges, std::string_view origin);
  /// Reads such a file, plain or compressed with gzip, of at most 16 MiB of text.
  static ClipBpe load(const std::filesystem::path& path);
  /// Writes `merges.txt`, atomically.
  void save(const std::filesystem::path& path) const;

  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }
  /// Throws Error(invalid_input) for an id outside [0, size).
  const std::string& token(std::int64_t id) const;
  std::int64_t start_of_text() const { return size() - 2; }
  std::int64_t end_of_text() const { return size() - 1; }

  /// The tokens of `text` alone. The time is that of sorting its bytes, however long its words are.
  std::vector<std::int64_t> tokenize_to_ids(std::string_view text) const;
  std::vector<std::string> tokenize(std::string_view text) const;
  /// <|startoftext|> tokens <|endoftext|>, padded with 0 or with the last tokens left out to exactly `length`, which
  /// must be at least 2.
  EncodedText encode(std::string_view text, std::int64_t length) const;
  /// The text that tokens stand for: a space at every end of a word, U+FFFD for bytes that are not UTF-8.
  std::string decode(std::span<const std::int64_t> ids) const;

 private:
  class PairMerger;

  explicit ClipBpe(std::vector<std::string> merges) : merges_(std::move(merges)) {}

  std::vector<std::string> merges_;  // lines: "th e</w>"
  std::vector<std::string> tokens_;  // by id
  /// Ids of merged pairs, by the ids of both halves. The smaller, the earlier was it learned.
  std::unordered_map<std::uint64_t, std::uint32_t> pairs_;
};

}  // namespace capdiff
