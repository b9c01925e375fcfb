#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// When the dot behind an abbreviation is part of it and not a full stop.
enum class NonbreakingPrefix {
  always,         ///< Dr.
  before_number,  ///< No. 5
};

/// Abbreviations, without their dot.
using NonbreakingPrefixes = std::unordered_map<std::u32string, NonbreakingPrefix>;

/// Reads a list of METEOR: an abbreviation a line, `#NUMERIC_ONLY#` behind those that stand before numbers; lines that
/// begin with `#` are comments.
NonbreakingPrefixes parse_nonbreaking_prefixes(std::string_view text);

enum class MeteorPunctuation {
  keep,    ///< METEOR's -norm, which the COCO caption evaluation uses
  remove,  ///< METEOR's -norm -noPunct
};

/// METEOR 1.5's tokeniser of English: a Moses tokeniser that also makes quotes and dashes alike, takes words apart at
/// dashes and drops the dots of abbreviations.
class MeteorNormalizer {
 public:
  explicit MeteorNormalizer(NonbreakingPrefixes prefixes) : prefixes_(std::move(prefixes)) {}

  /// `text` (UTF-8; bytes that are not become U+FFFD, which is a symbol) with one space between tokens, in its case.
  std::string normalize(std::string_view text, MeteorPunctuation punctuation) const;

  /// The words METEOR scores: the normalised text in lower case, cut at spaces.
  Tokens words(std::string_view text, MeteorPunctuation punctuation) const;

 private:
  std::u32string normalized(std::string_view text, MeteorPunctuation punctuation) const;
  std::u32string split_final_dots(const std::u32string& text) const;

  NonbreakingPrefixes prefixes_;
};

}  // namespace capdiff
