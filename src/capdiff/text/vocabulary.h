#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/base/string_map.h"

namespace capdiff {

/// Ids of tokens by their text.
using TokenIds = StringMap<std::int64_t>;

/// The lines of a `vocab.txt`, a token each; a carriage return before the line break is not part of it.
std::vector<std::string> vocabulary_lines(std::string_view text);
/// Reads them from a file of at most 16 MiB. Throws as `read_text`.
std::vector<std::string> read_vocabulary_lines(const std::filesystem::path& path);
/// Writes them, atomically.
void write_vocabulary_lines(const std::filesystem::path& path, const std::vector<std::string>& tokens);
/// Ids of tokens in the order of ids; `origin` names their source in errors. Throws Error(invalid_model) where there
/// are none, one is empty or occurs twice.
TokenIds ids_by_token(const std::vector<std::string>& tokens, std::string_view origin);

/// A WordPiece vocabulary: token i stands in line i (from 0) of `vocab.txt`. Pieces that continue a word begin with
/// "##". The ids of the special tokens and of the full stop, LaDiC's filler, are looked up by name and differ between
/// vocabularies.
class Vocabulary {
 public:
  /// `tokens` in id order; `origin` names their source in errors. Throws Error(invalid_model) where there are none, one
  /// is empty or occurs twice, or one of [PAD] [UNK] [CLS] [SEP] [MASK] and "." is missing.
  Vocabulary(std::vector<std::string> tokens, std::string_view origin);

  /// Tokens from the text of a `vocab.txt`, one a line; a carriage return before the line break is not part of a token.
  static Vocabulary parse(std::string_view text, std::string_view origin);

  /// Reads `vocab.txt`. Throws as the constructor and `read_text`; files over 16 MiB are refused.
  static Vocabulary load(const std::filesystem::path& path);

  /// Writes `vocab.txt`, atomically.
  void save(const std::filesystem::path& path) const;

  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }
  const std::vector<std::string>& tokens() const { return tokens_; }
  /// Throws Error(invalid_input) for an id outside [0, size).
  const std::string& token(std::int64_t id) const;
  std::optional<std::int64_t> find(std::string_view token) const;

  std::int64_t pad() const { return pad_; }
  std::int64_t unk() const { return unk_; }
  std::int64_t cls() const { return cls_; }
  std::int64_t sep() const { return sep_; }
  std::int64_t mask() const { return mask_; }
  /// The full stop ".".
  std::int64_t dot() const { return dot_; }

 private:
  std::vector<std::string> tokens_;
  TokenIds ids_;
  std::int64_t pad_, unk_, cls_, sep_, mask_, dot_;
};

}  // namespace capdiff
