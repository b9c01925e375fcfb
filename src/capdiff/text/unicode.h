#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// U+FFFD.
inline constexpr char32_t kReplacementCharacter = 0xFFFD;

/// Code points of UTF-8 `text`. Every byte that is not part of a well-formed sequence (overlong forms, surrogates and
/// truncation included) becomes U+FFFD.
std::u32string decode_utf8(std::string_view text);

/// `bytes` with U+FFFD for every ill-formed part, where the beginning of a sequence that is never finished is one part:
/// as Python's `decode("utf-8", "replace")` has it.
std::string well_formed_utf8(std::string_view bytes);

void append_utf8(std::string& text, char32_t code_point);
std::string encode_utf8(std::u32string_view code_points);

/// Canonical decomposition (Unicode NFD).
std::u32string canonical_decomposition(std::u32string_view code_points);

/// White space as Python's `str.isspace` and `\s` understand it: the controls U+0009–000D, U+001C–001F and U+0085, and
/// the categories Z*.
bool is_white_space(char32_t code_point);

/// Unicode's categories L*.
bool is_letter(char32_t code_point);

/// Unicode's categories N*: digits of all scripts, and the likes of ½ and Ⅳ.
bool is_number(char32_t code_point);

/// Punctuation as BERT's tokeniser understands it: every printing ASCII character that is neither letter, digit nor
/// space (`$`, `+`, `^` among them), and the categories P*.
bool is_punctuation(char32_t code_point);

/// Appends the lower case of one code point on its own: U+0130 gives two, a capital sigma is always U+03C3.
void append_lower_case(std::u32string& text, char32_t code_point);

/// The lower case of a whole string, with Unicode's `Final_Sigma` rule: a capital sigma that ends a word is U+03C2.
std::u32string lower_case(std::u32string_view text);

/// The words of UTF-8 `text` between runs of white space; none of them is empty.
std::vector<std::string> split_white_space(std::string_view text);

}  // namespace capdiff
