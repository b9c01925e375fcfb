#include "capdiff/metrics/ptb_text.h"

#include <algorithm>
#include <iterator>

#include "capdiff/text/unicode.h"
#include "capdiff/text/unicode_category.h"

namespace capdiff {
namespace {

constexpr char32_t kLastOfBasicPlane = 0xFFFF;

struct Range {
  char16_t first, last;
};

/// What words may contain besides letters and digits: combining marks of the scripts that the treebank's tokeniser
/// knows, modifiers, and a few signs beside them. Sorted.
constexpr Range kWordMarks[] = {
    {0x0AD, 0x0AD}, {0x2C2, 0x2C5}, {0x2D2, 0x2DF}, {0x2E5, 0x2FF}, {0x300, 0x37D}, {0x384, 0x385}, {0x3F6, 0x3F6},
    {0x483, 0x487}, {0x55A, 0x55F}, {0x591, 0x5BD}, {0x5BF, 0x5BF}, {0x5C1, 0x5C2}, {0x5C4, 0x5C5}, {0x5C7, 0x5C7},
    {0x615, 0x61A}, {0x64B, 0x65E}, {0x670, 0x670}, {0x6D6, 0x6EF}, {0x6FD, 0x6FE}, {0x70F, 0x70F}, {0x711, 0x711},
    {0x730, 0x74F}, {0x7A6, 0x7B0}, {0x7EB, 0x7F3}, {0x900, 0x903}, {0x93C, 0x93C}, {0x93E, 0x94E}, {0x951, 0x955},
    {0x962, 0x963}, {0x981, 0x983}, {0x9BC, 0x9C4}, {0x9C7, 0x9C8}, {0x9CB, 0x9CD}, {0x9D7, 0x9D7}, {0x9E2, 0x9E3},
    {0xA01, 0xA03}, {0xA3C, 0xA3C}, {0xA3E, 0xA4F}, {0xA81, 0xA83}, {0xABC, 0xACF}, {0xB82, 0xB82}, {0xBBE, 0xBC2},
    {0xBC6, 0xBC8}, {0xBCA, 0xBCD}, {0xC01, 0xC03}, {0xC3E, 0xC56}, {0xD3E, 0xD44}, {0xD46, 0xD48}, {0xE31, 0xE31},
    {0xE34, 0xE3A}, {0xE47, 0xE4E}, {0xEB1, 0xEB1}, {0xEB4, 0xEBC}, {0xEC8, 0xECD}};

/// Symbols beyond ASCII that are tokens. Sorted.
constexpr Range kSymbols[] = {
    {0x00A1, 0x00A1}, {0x00A5, 0x00A9}, {0x00AC, 0x00AC}, {0x00AE, 0x00BA}, {0x00BF, 0x00BF}, {0x00D7, 0x00D7},
    {0x00F7, 0x00F7}, {0x037E, 0x037E}, {0x0387, 0x0387}, {0x0589, 0x0589}, {0x05BE, 0x05BE}, {0x05C0, 0x05C0},
    {0x05C3, 0x05C3}, {0x05C6, 0x05C6}, {0x05F3, 0x05F4}, {0x0600, 0x0603}, {0x0606, 0x060C}, {0x0614, 0x0614},
    {0x061B, 0x061B}, {0x061E, 0x061F}, {0x066A, 0x066A}, {0x066D, 0x066D}, {0x06D4, 0x06D4}, {0x0700, 0x070D},
    {0x07F6, 0x07F8}, {0x0964, 0x0965}, {0x0E3F, 0x0E3F}, {0x0E4F, 0x0E4F}, {0x1FBD, 0x1FBD}, {0x2016, 0x2017},
    {0x2020, 0x2023}, {0x2030, 0x2038}, {0x203B, 0x203B}, {0x203E, 0x2042}, {0x2044, 0x2044}, {0x207A, 0x207F},
    {0x208A, 0x208E}, {0x2100, 0x214F}, {0x2190, 0x2BFF}, {0x3001, 0x3002}, {0x3012, 0x3012}, {0x30FB, 0x30FB},
    {0xFF01, 0xFF0F}, {0xFF1A, 0xFF20}, {0xFF3B, 0xFF40}, {0xFF5B, 0xFF65}, {0xFFE0, 0xFFE1}, {0xFFE5, 0xFFE6}};

template <std::size_t N>
bool contains(const Range (&ranges)[N], char32_t c) {
  const auto behind = std::ranges::upper_bound(ranges, c, {}, [](const Range& range) { return char32_t{range.first}; });
  return behind != std::begin(ranges) && c <= std::prev(behind)->last;
}

constexpr bool is_between(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

}  // namespace

bool is_ptb_plain_letter(char32_t c) {
  if (c < 0x80) return is_ascii_letter(c);
  return c <= kLastOfBasicPlane && is_letter(c);
}

bool is_ptb_upper(char32_t c) {
  if (c < 0x80) return is_ascii_upper(c);
  return c <= kLastOfBasicPlane && (unicode_category(c) == UTF8PROC_CATEGORY_LU || is_between(c, 0x2160, 0x216F) ||
                                    is_between(c, 0x24B6, 0x24CF));
}

bool is_ptb_letter(char32_t c) {
  if (c < 0x80) return is_ascii_letter(c);
  return is_ptb_plain_letter(c) || contains(kWordMarks, c);
}

bool is_ptb_digit(char32_t c) {
  if (c < 0x80) return is_ascii_digit(c);
  return c <= kLastOfBasicPlane && unicode_category(c) == UTF8PROC_CATEGORY_ND;
}

bool is_ptb_white_space(char32_t c) {
  return c == U' ' || is_between(c, 0x09, 0x0D) || c == 0xA0 || is_between(c, 0x2000, 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x3000;
}

bool is_ptb_separator(char32_t c) {
  return is_ptb_white_space(c) || c == 0 || c == 0x7F || c == 0x200B || c == 0x200E || c == 0x200F || c == 0xFEFF;
}

bool is_ptb_symbol(char32_t c) {
  if (c < 0x80) return is_between(c, 0x21, 0x7E) && !is_ascii_alphanumeric(c);
  return contains(kSymbols, c);
}

std::size_t PtbText::literal(std::size_t at, std::string_view lower) const {
  for (std::size_t i = 0; i < lower.size(); ++i) {
    const char32_t c = (*this)[at + i];
    if ((is_ascii_upper(c) ? c + 32 : c) != static_cast<unsigned char>(lower[i])) return 0;
  }
  return lower.size();
}

std::size_t PtbText::apostrophe(std::size_t at) const {
  const char32_t c = (*this)[at];
  if (c == U'\'' || c == 0x2019 || c == 0x92) return 1;
  return c == U'&' ? literal(at, "&apos;") : 0;
}

std::size_t PtbText::apostrophe_or_quote(std::size_t at) const {
  const char32_t c = (*this)[at];
  if (c == U'`' || c == 0x2018 || c == 0x91 || c == 0x201B) return 1;
  return apostrophe(at);
}

std::size_t PtbText::letter(std::size_t at) const {
  const char32_t c = (*this)[at];
  if (c != U'&') return is_ptb_letter(c) ? 1 : 0;
  if (!is_one_of((*this)[at + 1], U"aeiouAEIOU")) return 0;
  for (const std::string_view accent : {"acute;", "grave;", "uml;"}) {
    if (literal(at + 2, accent)) return 2 + accent.size();
  }
  return 0;
}

std::size_t PtbText::alphanumeric(std::size_t at) const {
  if (is_ptb_digit((*this)[at])) return 1;
  return letter(at);
}

}  // namespace capdiff
