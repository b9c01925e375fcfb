#include "capdiff/metrics/ptb_text.h"

#include <utf8proc.h>

namespace capdiff {
namespace {

constexpr char32_t kSoftHyphen = 0xAD;
constexpr char32_t kLastOfBasicPlane = 0xFFFF;

constexpr bool is_between(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_combining_mark_of_words(char32_t c) {
  const bool for_symbols = is_between(c, 0x20D0, 0x20FF) || is_between(c, 0xFE00, 0xFE2F);
  if (for_symbols) return false;
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_MC || kind == UTF8PROC_CATEGORY_ME;
}

}  // namespace

bool is_ptb_letter(char32_t c) {
  if (c < 0x80) return is_ascii_letter(c);
  if (c > kLastOfBasicPlane) return false;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return true;
    default: break;
  }
  return c == kSoftHyphen || is_between(c, 0x2C2, 0x2FF) || is_between(c, 0x370, 0x37D) || c == 0x384 || c == 0x385 ||
         is_combining_mark_of_words(c);
}

bool is_ptb_digit(char32_t c) {
  if (c < 0x80) return is_ascii_digit(c);
  return c <= kLastOfBasicPlane && category(c) == UTF8PROC_CATEGORY_ND;
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
  if (c > kLastOfBasicPlane) return false;
  const bool corner_bracket = is_between(c, 0x3008, 0x3011) || is_between(c, 0x3014, 0x301F);
  const bool new_currency_sign = is_between(c, 0x20A0, 0x20CF);
  if (corner_bracket || new_currency_sign || is_between(c, 0xFFF0, 0xFFFF)) return false;
  if (is_between(c, 0x2190, 0x2BFF)) return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO: return true;
    default: return false;
  }
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
