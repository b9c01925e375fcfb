#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// Words longer than this many code points are not cut into pieces.
inline constexpr std::size_t kMaxWordCodePoints = 100;

/// Number of code points of well-formed UTF-8 `text`.
std::size_t count_code_points(std::string_view text);

/// The words that BERT's uncased tokeniser cuts into pieces, in UTF-8:
/// 1. lower-case every code point; drop NUL, U+FFFD and the categories C* (so zero-width characters glue their
///    neighbours), but turn tab, line feed, carriage return and category Zs into spaces; put spaces around ideographs;
/// 2. decompose canonically (NFD) and drop category Mn, the accents;
/// 3. split at white space, and make every punctuation character (`is_punctuation`) a word of its own.
/// Bytes that are not UTF-8 disappear like U+FFFD.
std::vector<std::string> split_words(std::string_view text);

}  // namespace capdiff
