#include <algorithm>

#include "capdiff/metrics/ptb_scanner.h"

namespace capdiff {
namespace {

std::size_t ascii_digits(const PtbText& text, std::size_t at, std::size_t most) {
  std::size_t count = 0;
  while (count < most && is_ascii_digit(text[at + count])) ++count;
  return count;
}

}  // namespace

std::size_t PtbScanner::number_end(std::size_t at) const {
  std::size_t end = text_.run_end(at, is_ptb_digit);
  while (is_one_of(text_[end], U".:,\u00AD\u066B\u066C")) {
    const std::size_t group = text_.run_end(end + 1, is_ptb_digit);
    if (group == end + 1) break;
    end = group;
  }
  return end;
}

void PtbScanner::numbers() {
  const std::size_t unsigned_number = is_one_of(text_[at_], U"+-") ? at_ + 1 : at_;
  if (const std::size_t end = number_end(unsigned_number); end > unsigned_number) token(end);

  // 12/25/2010
  const auto month = ascii_digits(text_, at_, 2);
  if (month && is_one_of(text_[at_ + month], U"-/")) {
    const std::size_t second = at_ + month + 1;
    const auto day = ascii_digits(text_, second, 2);
    if (day && is_one_of(text_[second + day], U"-/")) {
      const auto year = ascii_digits(text_, second + day + 1, 4);
      if (year >= 2) token(second + day + 1 + year);
    }
  }

  // Superscripts and subscripts.
  const auto is_superscript = [](char32_t c) {
    return c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079);
  };
  const auto is_subscript = [](char32_t c) { return c >= 0x2080 && c <= 0x2089; };
  const std::size_t script = is_one_of(text_[at_], U"\u207A\u207B\u208A\u208B") ? at_ + 1 : at_;
  const std::size_t script_end = std::max(text_.run_end(script, is_superscript), text_.run_end(script, is_subscript));
  if (script_end > script) token(script_end);

  // 1/2, 1 1/2
  const auto up_to_four = [&](std::size_t at) {
    std::size_t end = at;
    while (end < at + 4 && is_ptb_digit(text_[end])) ++end;
    return end;
  };
  const auto simple_fraction = [&](std::size_t at) {
    std::size_t slash = up_to_four(at);
    if (slash == at) return at;
    if (text_[slash] == U'\\') ++slash;
    if (text_[slash] != U'/' && text_[slash] != 0x2044) return at;
    const std::size_t end = up_to_four(slash + 1);
    return end > slash + 1 ? end : at;
  };
  token(simple_fraction(at_), Form::bracketed);
  if (const std::size_t whole = up_to_four(at_);
      whole > at_ && (is_ptb_inner_space(text_[whole]) || text_[whole] == U'-')) {
    if (const std::size_t end = simple_fraction(whole + 1); end > whole + 1) token(end, Form::bracketed);
  }
  switch (text_[at_]) {
    case 0xBC: return fixed(at_ + 1, U"1/4");
    case 0xBD: return fixed(at_ + 1, U"1/2");
    case 0xBE: return fixed(at_ + 1, U"3/4");
    case 0x2153: return fixed(at_ + 1, U"1/3");
    case 0x2154: return fixed(at_ + 1, U"2/3");
    default: break;
  }
  if (text_[at_] > 0x2154 && text_[at_] <= 0x215E) token(at_ + 1);
}

/// (555) 123-4567, 555 123 4567, +49 123 456 789, 555.123.4567
void PtbScanner::phone_numbers() {
  const auto is_separator = [&](std::size_t at) { return text_[at] == U'-' || is_ptb_inner_space(text_[at]); };
  // Three or four digits and three to five more, with or without a separator between them.
  const auto subscriber = [&](std::size_t at) {
    for (const std::size_t first : {4, 3}) {
      if (ascii_digits(text_, at, first) != first) continue;
      const std::size_t next = at + first;
      if (is_separator(next) && ascii_digits(text_, next + 1, 5) >= 3) {
        token(next + 1 + ascii_digits(text_, next + 1, 5), Form::bracketed);
      }
      if (ascii_digits(text_, next, 5) >= 3) token(next + ascii_digits(text_, next, 5), Form::bracketed);
    }
  };
  if (text_[at_] == U'(') {
    const auto area = ascii_digits(text_, at_ + 1, 3);
    const std::size_t close = at_ + 1 + area;
    if (area < 2 || text_[close] != U')') return;
    subscriber(close + 1);
    if (is_ptb_inner_space(text_[close + 1])) subscriber(close + 2);
    return;
  }
  std::size_t first = at_;
  while (first < at_ + 2 && text_[first] == U'+') ++first;
  const auto country = ascii_digits(text_, first, 4);
  if (country < 2) return;
  const std::size_t behind = first + country;
  if (is_separator(behind)) {
    subscriber(behind + 1);
    const auto area = ascii_digits(text_, behind + 1, 4);
    if (area >= 2 && is_separator(behind + 1 + area)) subscriber(behind + 1 + area + 1);
  }
  const auto dotted = [&](std::size_t at, std::size_t least, std::size_t most) {
    const auto digits = ascii_digits(text_, at, most);
    return digits >= least && text_[at + digits] == U'.' ? at + digits + 1 : 0;
  };
  const auto dotted_number = [&](std::size_t at) {
    const auto exchange = dotted(at, 2, 4);
    const auto line = exchange ? dotted(exchange, 3, 4) : 0;
    const auto digits = line ? ascii_digits(text_, line, 5) : 0;
    if (digits >= 3) token(line + digits, Form::bracketed);
  };
  dotted_number(first);
  if (text_[behind] == U'.') dotted_number(behind + 1);
}

/// `US$`, `#`, and the signs of currencies.
void PtbScanner::currencies() {
  const std::size_t dollar = text_.run_end(at_, is_ascii_upper);
  if (text_[dollar] == U'$') token(dollar + 1);
  switch (text_[at_]) {
    case 0xA2: return fixed(at_ + 1, U"cents");
    case 0xA3: return fixed(at_ + 1, U"#");
    case 0x80:
    case 0xA4:
    case 0x20A0:
    case 0x20AC: return fixed(at_ + 1, U"$");
    case 0x20A4: return token(at_ + 1);
    default: break;
  }
}

}  // namespace capdiff
