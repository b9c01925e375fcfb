#include "capdiff/text/html.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <unordered_map>

#include "capdiff/text/html_entities.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

constexpr std::size_t kLongestName = 32;  // code points, without a semicolon
constexpr std::size_t kShortestName = 2;
constexpr std::uint32_t kBeyondUnicode = 0x110000;

struct NamedCharacter {
  std::string text;
  bool needs_semicolon = true;
};

using NamedCharacters = std::unordered_map<std::string_view, NamedCharacter>;

NamedCharacters parse_entities() {
  NamedCharacters characters;
  std::string_view rest = html_entities();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view entry = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = entry.find('=');
    const bool optional_semicolon = entry[equals - 1] == '?';
    NamedCharacter character{{}, !optional_semicolon};
    for (std::size_t at = equals; at < entry.size();) {
      std::uint32_t code_point = 0;
      const char* const last = entry.data() + entry.size();
      at = static_cast<std::size_t>(std::from_chars(entry.data() + at + 1, last, code_point, 16).ptr - entry.data());
      append_utf8(character.text, code_point);
    }
    characters.emplace(entry.substr(0, optional_semicolon ? equals - 1 : equals), std::move(character));
  }
  return characters;
}

const NamedCharacter* find_named(std::string_view name) {
  static const NamedCharacters kCharacters = parse_entities();
  const auto found = kCharacters.find(name);
  return found == kCharacters.end() ? nullptr : &found->second;
}

/// What the numbers 128 to 159 mean: Windows-1252, and themselves where that has no character.
constexpr std::array<std::uint16_t, 32> kWindows1252{0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                                     0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                                     0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                                     0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

void append_numbered(std::string& out, std::uint32_t number) {
  const bool control =
      (number >= 0x01 && number <= 0x08) || number == 0x0B || (number >= 0x0E && number <= 0x1F) || number == 0x7F;
  const bool non_character = (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
  if (number >= 0x80 && number <= 0x9F) return append_utf8(out, kWindows1252[number - 0x80]);
  if (number == 0 || (number >= 0xD800 && number <= 0xDFFF) || number >= kBeyondUnicode)
    return append_utf8(out, kReplacementCharacter);
  if (!control && !non_character) append_utf8(out, number);
}

/// Appends what "#39;" stands for, and returns how long it is; 0 where it is no reference.
std::size_t append_numeric_reference(std::string& out, std::string_view text) {
  const bool hexadecimal = text.size() > 1 && (text[1] == 'x' || text[1] == 'X');
  const char* const first = text.data() + (hexadecimal ? 2 : 1);
  const char* const last = text.data() + text.size();
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(first, last, number, hexadecimal ? 16 : 10);
  if (end == first) return 0;
  append_numbered(out, error == std::errc::result_out_of_range ? kBeyondUnicode : number);
  return static_cast<std::size_t>(end - text.data()) + (end < last && *end == ';' ? 1 : 0);
}

/// The longest that may be a name at the beginning of `text`, without a semicolon.
std::string_view possible_name(std::string_view text) {
  constexpr std::string_view kOutsideNames("\t\n\f <&#;");
  std::size_t end = 0;
  for (std::size_t code_points = 0; end < text.size() && kOutsideNames.find(text[end]) == std::string_view::npos; ++end)
    if ((text[end] & 0xC0) != 0x80 && ++code_points > kLongestName) break;
  return text.substr(0, end);
}

/// The same for "amp;".
std::size_t append_named_reference(std::string& out, std::string_view text) {
  std::string_view name = possible_name(text);
  const bool semicolon = name.size() < text.size() && text[name.size()] == ';';
  if (const NamedCharacter* character = find_named(name); character && (semicolon || !character->needs_semicolon)) {
    out += character->text;
    return name.size() + (semicolon ? 1 : 0);
  }
  if (!name.empty() && !semicolon) name.remove_suffix(1);
  for (; name.size() >= kShortestName; name.remove_suffix(1)) {
    const NamedCharacter* const character = find_named(name);
    if (!character || character->needs_semicolon) continue;
    out += character->text;
    return name.size();
  }
  return 0;
}

}  // namespace

std::string unescape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t ampersand = std::min(text.find('&', at), text.size());
    out += text.substr(at, ampersand - at);
    if (ampersand == text.size()) break;
    const std::string_view rest = text.substr(ampersand + 1);
    const std::size_t length =
        rest.starts_with('#') ? append_numeric_reference(out, rest) : append_named_reference(out, rest);
    if (length == 0) out += '&';
    at = ampersand + 1 + length;
  }
  return out;
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += c;
    }
  }
  return result;
}

}  // namespace capdiff
