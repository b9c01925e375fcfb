#include "capdiff/metrics/meteor_normalizer.h"

#include <algorithm>
#include <utility>

#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

/// Stands for a dot of a run of dots, which no rule may touch. No code point of a text has this value.
constexpr char32_t kProtectedDot = 0x110000;
constexpr char32_t kEnDash = 0x2013;

bool is_digit(char32_t c) {
  return c >= U'0' && c <= U'9';
}

/// Latin of western and central Europe, Cyrillic, phonetic extensions: no other character is part of a word.
bool is_meteor_letter(char32_t c) {
  if (c < 0x80) return (c >= U'A' && c <= U'Z') || (c >= U'a' && c <= U'z');
  static constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x17E}, {0x400, 0x527}, {0x1D00, 0x1D7F}, {0xA640, 0xA66E}, {0xA67E, 0xA697}};
  return std::ranges::any_of(kRanges, [c](const auto& range) { return c >= range.first && c <= range.second; });
}

bool is_alphanumeric(char32_t c) {
  return is_digit(c) || is_meteor_letter(c);
}

/// What separates the words of a line, to METEOR.
bool is_separator(char32_t c) {
  return c == U' ' || c == U'\t' || c == U'\n' || c == U'\r' || c == U'\f';
}

/// Unicode's category Zs.
bool is_space(char32_t c) {
  return c == U' ' || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_single_quote(char32_t c) {
  return c == U'\'' || c == U'`' || c == 0x2018 || c == 0x2019;
}

/// A character with rules of its own, or one that none is needed for.
bool stays_attached(char32_t c) {
  return is_alphanumeric(c) || is_separator(c) || c == U'\v' || is_single_quote(c) || c == U'.' || c == U',' ||
         c == U'-';
}

std::u32string separate_symbols(std::u32string_view text) {
  std::u32string separated;
  separated.reserve(text.size() + 16);
  for (const char32_t c : text) {
    if (stays_attached(c)) {
      separated.push_back(c);
    } else {
      separated.append({U' ', c, U' '});
    }
  }
  return separated;
}

/// Runs of two dots and more become words of their own.
void protect_runs_of_dots(std::u32string& text) {
  if (text.find(U"..") == std::u32string::npos) return;
  std::u32string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_not_of(U'.', at), text.size());
    if (end - at >= 2) {
      result += U' ';
      result.append(end - at, kProtectedDot);
      result += U' ';
      at = end;
    } else {
      result.push_back(text[at++]);
    }
  }
  text = std::move(result);
}

/// Puts `replacement` for every `middle` between a character of `before` and one of `after`, from left to right. No
/// character belongs to two replacements: of "a,,b", only the first comma stands between two others.
template <class Before, class After>
void replace_between(std::u32string& text, Before before, char32_t middle, After after,
                     std::u32string_view replacement) {
  if (text.find(middle) == std::u32string::npos) return;
  std::u32string result;
  result.reserve(text.size() + 16);
  for (std::size_t at = 0; at < text.size();) {
    if (at + 2 < text.size() && text[at + 1] == middle && before(text[at]) && after(text[at + 2])) {
      result.push_back(text[at]);
      result += replacement;
      result.push_back(text[at + 2]);
      at += 3;
    } else {
      result.push_back(text[at++]);
    }
  }
  text = std::move(result);
}

/// The same where any two neighbours do, `middle` being a string.
void replace_all(std::u32string& text, std::u32string_view middle, std::u32string_view replacement) {
  if (text.find(middle) == std::u32string::npos) return;
  std::u32string result;
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(middle, at);
    result.append(text, at, found == std::u32string::npos ? found : found - at);
    if (found == std::u32string::npos) break;
    result += replacement;
    at = found + middle.size();
  }
  text = std::move(result);
}

void split_commas(std::u32string& text) {
  const auto no_digit = [](char32_t c) { return !is_digit(c); };
  replace_between(text, no_digit, U',', no_digit, U" , ");
  replace_between(text, is_digit, U',', no_digit, U" , ");
  replace_between(text, no_digit, U',', is_digit, U" , ");
}

void make_quotes_and_dashes_alike(std::u32string& text) {
  std::ranges::replace_if(text, is_single_quote, U'\'');
  replace_all(text, U"''", U" \" ");
  replace_all(text, U"\u201C", U" \" ");
  replace_all(text, U"\u201D", U" \" ");
  std::ranges::replace(text, kEnDash, U'-');
  replace_all(text, U"--", U"-");
  replace_between(
      text, [](char32_t c) { return is_alphanumeric(c) || c == U'.'; }, U'-', is_alphanumeric, U" ");
}

/// "don't" is `don 't`.
void split_contractions(std::u32string& text) {
  const auto no_letter = [](char32_t c) { return !is_meteor_letter(c); };
  replace_between(text, no_letter, U'\'', no_letter, U" ' ");
  replace_between(
      text, [](char32_t c) { return !is_alphanumeric(c); }, U'\'', is_meteor_letter, U" ' ");
  replace_between(text, is_meteor_letter, U'\'', no_letter, U" ' ");
  replace_between(text, is_meteor_letter, U'\'', is_meteor_letter, U" '");
  replace_between(
      text, is_digit, U'\'', [](char32_t c) { return c == U's'; }, U" '");
}

/// The word at or behind `at`, which moves to its end; empty where there is none.
std::u32string_view next_word(std::u32string_view text, std::size_t& at) {
  while (at < text.size() && is_separator(text[at])) ++at;
  const std::size_t begin = at;
  while (at < text.size() && !is_separator(text[at])) ++at;
  return text.substr(begin, at - begin);
}

/// One plain space for every run of spaces. Controls at the ends go with the spaces there.
std::u32string with_single_spaces(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  for (const char32_t c : text) {
    if (!is_space(c)) {
      result.push_back(c);
    } else if (result.empty() || result.back() != U' ') {
      result.push_back(U' ');
    }
  }
  const auto is_kept = [](char32_t c) { return c > U' '; };
  const auto begin = std::find_if(result.begin(), result.end(), is_kept);
  const auto end = std::find_if(result.rbegin(), std::make_reverse_iterator(begin), is_kept).base();
  return {begin, end};
}

}  // namespace

NonbreakingPrefixes parse_nonbreaking_prefixes(std::string_view text) {
  NonbreakingPrefixes prefixes;
  const std::u32string lines = decode_utf8(text);
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find_first_of(U"\r\n", at), lines.size());
    const std::u32string_view line = std::u32string_view(lines).substr(at, end - at);
    at = end + 1;
    std::size_t field = 0;
    const std::u32string_view prefix = next_word(line, field);
    if (prefix.empty() || prefix.front() == U'#') continue;
    const bool numeric = next_word(line, field) == U"#NUMERIC_ONLY#";
    prefixes[std::u32string(prefix)] = numeric ? NonbreakingPrefix::before_number : NonbreakingPrefix::always;
  }
  return prefixes;
}

std::u32string MeteorNormalizer::split_final_dots(const std::u32string& text) const {
  std::u32string result;
  result.reserve(text.size() + 16);
  std::size_t at = 0;
  std::u32string_view following = next_word(text, at);
  while (!following.empty()) {
    const std::u32string_view word = following;
    following = next_word(text, at);
    const char32_t next = following.empty() ? U' ' : following.front();
    const auto ends_before_dot = [&] {
      const auto prefix = prefixes_.find(std::u32string(word.substr(0, word.size() - 1)));
      if (next >= U'a' && next <= U'z') return false;
      if (prefix == prefixes_.end()) return true;
      return prefix->second == NonbreakingPrefix::before_number && !is_digit(next);
    };
    if (word.size() == 1 || word.back() != U'.') {
      result += word;
    } else if (word.find(U'.') + 1 < word.size() && std::ranges::any_of(word, is_meteor_letter)) {
      std::ranges::copy_if(word, std::back_inserter(result), [](char32_t c) { return c != U'.'; });
    } else if (ends_before_dot()) {
      result += word.substr(0, word.size() - 1);
      result += U" .";
    } else {
      result += word;
    }
    result.push_back(U' ');
  }
  return result;
}

std::u32string MeteorNormalizer::normalized(std::string_view text, MeteorPunctuation punctuation) const {
  std::u32string line = separate_symbols(U' ' + decode_utf8(text) + U' ');
  protect_runs_of_dots(line);
  split_commas(line);
  make_quotes_and_dashes_alike(line);
  split_contractions(line);
  line = split_final_dots(line);
  std::ranges::replace(line, kProtectedDot, U'.');
  if (punctuation == MeteorPunctuation::remove) {
    std::ranges::replace_if(
        line, [](char32_t c) { return !is_alphanumeric(c); }, U' ');
  }
  return with_single_spaces(line);
}

std::string MeteorNormalizer::normalize(std::string_view text, MeteorPunctuation punctuation) const {
  return encode_utf8(normalized(text, punctuation));
}

Tokens MeteorNormalizer::words(std::string_view text, MeteorPunctuation punctuation) const {
  const std::u32string lower = lower_case(normalized(text, punctuation));
  Tokens words;
  std::size_t at = 0;
  for (auto word = next_word(lower, at); !word.empty(); word = next_word(lower, at)) words.push_back(encode_utf8(word));
  return words;
}

}  // namespace capdiff
