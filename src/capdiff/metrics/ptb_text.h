#pragma once

#include <cstddef>
#include <string_view>

namespace capdiff {

/// What `PtbText` reads behind its last character. No class of characters contains it.
inline constexpr char32_t kEndOfText = 0xFFFFFFFF;

/// Unicode's letters of the Basic Multilingual Plane.
bool is_ptb_plain_letter(char32_t c);
/// Unicode's capitals of the Basic Multilingual Plane, with Roman numerals and letters in circles.
bool is_ptb_upper(char32_t c);
/// Letters of words: plain letters, combining marks of the commoner scripts, and the soft hyphen.
bool is_ptb_letter(char32_t c);
bool is_ptb_digit(char32_t c);
/// What separates tokens without being one: spaces, line breaks, NUL, DEL and the byte order mark.
bool is_ptb_separator(char32_t c);
/// A space or a line break.
bool is_ptb_white_space(char32_t c);
/// The spaces that may stand inside a token, such as `1 1/2`.
constexpr bool is_ptb_inner_space(char32_t c) {
  return c == U' ' || c == 0xA0;
}
/// A character that is a token of its own where nothing longer matches. All others vanish.
bool is_ptb_symbol(char32_t c);

constexpr bool is_ascii_digit(char32_t c) {
  return c >= U'0' && c <= U'9';
}
constexpr bool is_ascii_upper(char32_t c) {
  return c >= U'A' && c <= U'Z';
}
constexpr bool is_ascii_letter(char32_t c) {
  return is_ascii_upper(c) || (c >= U'a' && c <= U'z');
}
constexpr bool is_ascii_alphanumeric(char32_t c) {
  return is_ascii_letter(c) || is_ascii_digit(c);
}
constexpr bool is_one_of(char32_t c, std::u32string_view characters) {
  return characters.find(c) != std::u32string_view::npos;
}

/// Text that token rules look at. Every function that returns a length returns 0 where there is no match.
class PtbText {
 public:
  explicit PtbText(std::u32string_view characters) : characters_(characters) {}

  std::size_t size() const { return characters_.size(); }
  char32_t operator[](std::size_t at) const { return at < characters_.size() ? characters_[at] : kEndOfText; }
  std::u32string_view between(std::size_t begin, std::size_t end) const {
    return characters_.substr(begin, end - begin);
  }

  /// Length of the ASCII string `lower`, whatever the case in the text.
  std::size_t literal(std::size_t at, std::string_view lower) const;
  /// Length of `'`, U+2019, U+0092 or `&apos;`.
  std::size_t apostrophe(std::size_t at) const;
  /// Length of an apostrophe, or of a quote that people write for one: a backtick, U+2018, U+0091, U+201B.
  std::size_t apostrophe_or_quote(std::size_t at) const;
  /// Length of a letter, or of the entity of an accented vowel (`&eacute;`).
  std::size_t letter(std::size_t at) const;
  /// Length of a letter or digit.
  std::size_t alphanumeric(std::size_t at) const;

  /// End of the longest run of characters from `at` that `is_member` accepts.
  template <class IsMember>
  std::size_t run_end(std::size_t at, IsMember&& is_member) const {
    while (at < size() && is_member(characters_[at])) ++at;
    return at;
  }
  /// End of the longest run of letters and digits.
  std::size_t alphanumeric_end(std::size_t at) const {
    while (const std::size_t length = alphanumeric(at)) at += length;
    return at;
  }

 private:
  std::u32string_view characters_;
};

}  // namespace capdiff
