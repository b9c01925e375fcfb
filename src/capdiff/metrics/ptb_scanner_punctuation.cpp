#include "capdiff/metrics/ptb_scanner.h"

namespace capdiff {
namespace {

/// Quotes that are no apostrophe, and the curly ones that may be.
bool is_quote(char32_t c) {
  return c == U'`' || (c >= 0x2018 && c <= 0x201F) || (c >= 0x91 && c <= 0x94) || c == 0x82 || c == 0x84 ||
         c == 0x2039 || c == 0x203A || c == 0xAB || c == 0xBB;
}

}  // namespace

void PtbScanner::quotes() {
  std::size_t double_quote = text_.literal(at_, "&quot;");
  if (text_[at_] == U'"') double_quote = 1;
  if (double_quote) {
    const std::size_t end = at_ + double_quote;
    const bool opens = is_ascii_alphanumeric(text_[end]) || text_[end] == U'$';
    return fixed(end, opens ? U"``" : U"''");
  }
  if (text_[at_] == U'\'') {
    opening_quote();
    if (text_[at_ + 1] == U'\'') token(at_ + 2);
  }
  token(at_ + text_.apostrophe(at_));
  if (is_quote(text_[at_])) token(is_quote(text_[at_ + 1]) ? at_ + 2 : at_ + 1);
}

/// A straight quote that a letter and one more character follow.
void PtbScanner::opening_quote() {
  const char32_t second = text_[at_ + 2];
  if (is_ascii_letter(text_[at_ + 1]) && second != kEndOfText && !is_one_of(second, U" \t\n\r\u00A0"))
    consider({at_ + 3, at_ + 1, at_ + 1, Form::word, U"`"});
}

void PtbScanner::punctuation() {
  quotes();
  brackets_and_entities();
  dashes_and_dots();
}

void PtbScanner::brackets_and_entities() {
  switch (text_[at_]) {
    case U'(': return fixed(at_ + 1, U"-LRB-");
    case U')': return fixed(at_ + 1, U"-RRB-");
    case U'[': return fixed(at_ + 1, U"-LSB-");
    case U']': return fixed(at_ + 1, U"-RSB-");
    case U'{': return fixed(at_ + 1, U"-LCB-");
    case U'}': return fixed(at_ + 1, U"-RCB-");
    case U'<':
    case U'>': return token(text_[at_ + 1] == text_[at_] ? at_ + 2 : at_ + 1);
    case U'&': break;
    default: return;
  }
  if (const auto length = text_.literal(at_, "&lt;")) fixed(at_ + length, U"<");
  if (const auto length = text_.literal(at_, "&gt;")) fixed(at_ + length, U">");
  if (const auto length = text_.literal(at_, "&amp;")) fixed(at_ + length, U"&");
  for (const std::string_view name : {"&ht;", "&tl;", "&ur;", "&lr;", "&qc;", "&ql;", "&qr;", "&odq;", "&cdq;"}) {
    if (const auto length = text_.literal(at_, name)) token(at_ + length);
  }
  if (text_[at_ + 1] == U'#') {
    const std::size_t end = text_.run_end(at_ + 2, is_ascii_digit);
    if (end > at_ + 2 && text_[end] == U';') token(end + 1);
  }
}

void PtbScanner::dashes_and_dots() {
  const std::size_t dashes = text_.run_end(at_, [](char32_t c) { return c == U'-'; });
  if (dashes >= at_ + 2) dashes > at_ + 4 ? token(dashes) : fixed(dashes, U"--");
  switch (text_[at_]) {
    case 0x96:
    case 0x97:
    case 0x2013:
    case 0x2014:
    case 0x2015: fixed(at_ + 1, U"--"); break;
    case 0x85:
    case 0x2026: fixed(at_ + 1, U"..."); break;
    default: break;
  }
  for (const std::string_view entity : {"&mdash;", "&ndash;", "&md;"}) {
    if (const auto length = text_.literal(at_, entity)) fixed(at_ + length, U"--");
  }
  if (text_[at_] == U'.') {
    std::size_t dots = 1;
    while (dots < 5 && text_[at_ + dots] == U'.') ++dots;
    if (dots >= 3) fixed(at_ + dots, U"...");
    std::size_t spaced = 1;
    while (spaced < 5 && is_ptb_inner_space(text_[at_ + 2 * spaced - 1]) && text_[at_ + 2 * spaced] == U'.') ++spaced;
    if (spaced >= 3) fixed(at_ + 2 * spaced - 1, U"...");
  }
  const std::size_t marks = text_.run_end(at_, [](char32_t c) { return c == U'!' || c == U'?'; });
  token(marks);
}

void PtbScanner::emoticons() {
  std::size_t eyes = at_;
  if (is_one_of(text_[eyes], U"<>")) ++eyes;
  if (is_one_of(text_[eyes], U":;=")) {
    const auto mouth = [&](std::size_t at) {
      if (!is_one_of(text_[at], U"()DPdpO\\{@|[]")) return;
      if (at + 1 < text_.size() && !is_ascii_alphanumeric(text_[at + 1])) token(at + 1, at + 2, Form::bracketed);
    };
    mouth(eyes + 1);
    if (is_one_of(text_[eyes + 1], U"-o*'")) mouth(eyes + 2);
  }
  // (^_^)
  constexpr std::u32string_view kEyes = U"-^x=~<>'";
  const bool open = text_[at_] == U'(';
  const std::size_t left = open ? at_ + 1 : at_;
  if (!is_one_of(text_[left], kEyes)) return;
  const bool nose = text_[left + 1] == U'_' || (open && text_[left + 1] == U'.');
  if (!nose && !open) return;
  const std::size_t right = nose ? left + 2 : left + 1;
  if (!is_one_of(text_[right], kEyes)) return;
  if (!open) return token(right + 1, Form::bracketed);
  if (text_[right + 1] == U')') token(right + 2, Form::bracketed);
}

void PtbScanner::symbols() {
  const char32_t c = text_[at_];
  std::size_t stars = at_;
  while (stars < at_ + 6 && text_[stars] == U'\\' && text_[stars + 1] == U'*') stars += 2;
  token(stars);
  if (is_one_of(c, U"*@_#")) token(text_.run_end(at_, [&](char32_t other) { return other == c; }));
  if (is_ptb_symbol(c)) token(at_ + 1, Form::as_written);
}

}  // namespace capdiff
