#include "capdiff/metrics/ptb_scanner.h"

#include <algorithm>

#include "capdiff/metrics/ptb_abbreviations.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

constexpr char32_t kNoBreakSpace = 0xA0;
constexpr char32_t kSoftHyphen = 0xAD;

bool is_hyphen(char32_t c) {
  return c == U'-' || c == U'_' || c == 0x58A || c == 0x2010 || c == 0x2011;
}

char lower_ascii(char32_t c) {
  constexpr char32_t kToLower = U'a' - U'A';
  return static_cast<char>(is_ascii_upper(c) ? c + kToLower : c);
}

/// Words that are two: `can not`, `gon na`, `'t is`.
struct SplitWord {
  std::string_view word;
  std::size_t first;  ///< characters of the first
};
constexpr SplitWord kSplitWords[] = {{"cannot", 3}, {"gonna", 3}, {"gotta", 3}, {"wanna", 3},
                                     {"lemme", 3},  {"gimme", 3}, {"'tis", 2},  {"'twas", 2}};

/// What stands for a quote in ASCII, or nothing.
std::u32string_view ascii_quote(char32_t c) {
  switch (c) {
    case 0x91:
    case 0x2018:
    case 0x201B:
    case 0x2039: return U"`";
    case 0x92:
    case 0x2019:
    case 0x203A: return U"'";
    case 0x93:
    case 0x201C:
    case 0xAB: return U"``";
    case 0x94:
    case 0x201D:
    case 0xBB: return U"''";
    default: return {};
  }
}

}  // namespace

std::optional<PtbToken> PtbScanner::next() {
  while (at_ < text_.size()) {
    if (const auto entity = text_.literal(at_, "&nbsp;"); entity || is_ptb_separator(text_[at_])) {
      at_ += std::max<std::size_t>(entity, 1);
      continue;
    }
    if (const std::size_t end = plain_word_end(); end > at_) {
      PtbToken found{at_, {}};
      for (; at_ < end; ++at_) found.text.push_back(lower_ascii(text_[at_]));
      return found;
    }
    best_ = {at_, at_, at_, Form::word, {}};
    const bool starts_word = text_.alphanumeric(at_) != 0;
    split_words();
    if (starts_word) words();
    apostrophe_words();
    web();
    contractions();
    numbers();
    chunks();
    currencies();
    if (starts_word) {
      abbreviations();
      dotted_letters();
      file_names();
    }
    phone_numbers();
    if (!starts_word) punctuation();
    emoticons();
    symbols();
    if (best_.end == at_) {
      ++at_;
      continue;
    }
    PtbToken found{at_, encode_utf8(lower_case(print(at_, best_)))};
    at_ = best_.next;
    return found;
  }
  return std::nullopt;
}

std::size_t PtbScanner::plain_word_end() const {
  const std::size_t end = text_.run_end(at_, is_ascii_letter);
  if (end == at_ || text_[end] != U' ') return at_;
  for (const auto& split : kSplitWords)
    if (text_.literal(at_, split.word)) return at_;
  return end;
}

void PtbScanner::consider(const Match& match) {
  if (match.reach > best_.reach) best_ = match;
}

void PtbScanner::token(std::size_t end, std::size_t reach, Form form) {
  if (end > at_) consider({reach, end, end, form, {}});
}

std::u32string PtbScanner::print(std::size_t begin, const Match& match) const {
  if (!match.fixed.empty()) return std::u32string(match.fixed);
  std::u32string printed;
  for (std::size_t i = begin; i < match.end; ++i) {
    const char32_t c = text_[i];
    if (match.form == Form::word) {
      if (c == kSoftHyphen) continue;
      if (const auto quote = ascii_quote(c); !quote.empty()) {
        printed += quote;
        continue;
      }
      if (const auto entity = text_.literal(i, "&apos;")) {
        printed.push_back(U'\'');
        i += entity - 1;
        continue;
      }
      if (const auto entity = text_.literal(i, "&amp;")) {
        printed.push_back(U'&');
        i += entity - 1;
        continue;
      }
    } else if (c == U' ') {
      printed.push_back(kNoBreakSpace);
      continue;
    } else if (match.form == Form::bracketed && (c == U'(' || c == U')')) {
      printed += c == U'(' ? U"-LRB-" : U"-RRB-";
      continue;
    }
    printed.push_back(c);
  }
  return printed.empty() ? U"-" : printed;
}

void PtbScanner::split_words() {
  for (const auto& split : kSplitWords) {
    if (const auto length = text_.literal(at_, split.word)) token(at_ + split.first, at_ + length);
  }
}

/// A letter and then letters and digits; single dots, question and exclamation marks may join such words.
std::size_t PtbScanner::word_end(std::size_t at) const {
  if (!text_.letter(at)) return at;
  for (;;) {
    at = text_.alphanumeric_end(at);
    if (!is_one_of(text_[at], U".!?") || !text_.letter(at + 1)) return at;
    ++at;
  }
}

void PtbScanner::words() {
  const std::size_t end = word_end(at_);
  if (end == at_) return;
  const auto apostrophe = text_.apostrophe(end);
  if (apostrophe) {
    const std::size_t suffix = end + apostrophe;
    for (const std::string_view ending : {"re", "ve", "ll", "m", "s", "d"}) {
      if (const auto length = text_.literal(suffix, ending)) token(end, suffix + length);
    }
  }
  const auto not_apostrophe = text_.apostrophe_or_quote(end);
  if (not_apostrophe && is_one_of(text_[end - 1], U"nN") && text_.literal(end + not_apostrophe, "t") &&
      takes_not(at_, end - 1)) {
    token(end - 1, end + not_apostrophe + 1);
  }
  word_or_stopped_word(end);
}

bool PtbScanner::takes_not(std::size_t begin, std::size_t end) const {
  const auto is_member = [](char32_t c) { return is_ascii_letter(c) || c == kSoftHyphen; };
  if (text_.run_end(begin, is_member) < end) return false;
  while (end > begin && text_[end - 1] == kSoftHyphen) --end;
  return end > begin && !is_one_of(text_[end - 1], U"nN");
}

void PtbScanner::word_or_stopped_word(std::size_t end) {
  token(end);
  if (end > at_ && text_[end] == U'.' && is_one_of(text_[end + 1], U",;:\u3001")) token(end + 1, end + 2);
}

/// Words that an apostrophe is part of.
void PtbScanner::apostrophe_words() {
  const char32_t first = text_[at_];
  if (const auto apostrophe = text_.apostrophe(at_)) {
    const std::size_t rest = at_ + apostrophe;
    for (const std::string_view word : {"em", "till", "til", "cause"}) {
      if (const auto length = text_.literal(rest, word)) token(rest + length);
    }
    if (text_.literal(rest, "n")) token(rest + 1 + text_.apostrophe(rest + 1));
    const bool decade = text_[rest] >= U'2' && text_[rest] <= U'9' && text_.literal(rest + 1, "0s");
    if (decade) token(rest + 3);
    const bool year = is_ascii_digit(text_[rest]) && is_ascii_digit(text_[rest + 1]);
    if (year && is_ptb_white_space(text_[rest + 2])) token(rest + 2, rest + 3);
    return;
  }
  if (!text_.letter(at_)) return;

  struct Word {
    std::string_view before, after;
  };
  static constexpr Word kWhole[] = {{"dunkin", ""}, {"somethin", ""}, {"ol", ""},    {"nor", "easter"}, {"c", "mon"},
                                    {"e", "er"},    {"s", "mores"},   {"ev", "ry"},  {"li", "l"},       {"nat", "l"},
                                    {"cap", "n"},   {"c", "est"},     {"cont", "d."}};
  for (const auto& word : kWhole) {
    const auto before = text_.literal(at_, word.before);
    const auto apostrophe = before ? text_.apostrophe(at_ + before) : 0;
    if (!apostrophe) continue;
    const std::size_t rest = at_ + before + apostrophe;
    if (word.after.empty() || text_.literal(rest, word.after)) token(rest + word.after.size());
  }

  // d' and l' of French and Irish, y' of y'all.
  if (const auto apostrophe = text_.apostrophe(at_ + 1)) {
    const std::size_t rest = at_ + 1 + apostrophe;
    if (is_one_of(first, U"lLdDjJ")) token(rest);
    if (is_one_of(first, U"yY") && is_ptb_plain_letter(text_[rest])) token(rest, rest + 1);
  }
  // O'Brien
  const bool may_lead = (is_ascii_upper(first) && first != U'I' && first != U'Y') || first == U'n';
  if (const auto apostrophe = may_lead ? text_.apostrophe_or_quote(at_ + 1) : 0) {
    const std::size_t rest = at_ + 1 + apostrophe;
    if (const std::size_t end = text_.run_end(rest, is_ptb_plain_letter); end >= rest + 2) token(end);
  }
  // ma'am: a vowel on both sides.
  const std::size_t stem = text_.run_end(at_, is_ptb_plain_letter);
  if (stem < at_ + 2 || !is_one_of(text_[stem - 1], U"aeiouyAEIOUY")) return;
  if (const auto apostrophe = text_.apostrophe_or_quote(stem)) {
    const char32_t after = text_[stem + apostrophe];
    if (is_one_of(after, U"aeiou") || is_ascii_upper(after))
      token(text_.run_end(stem + apostrophe, is_ptb_plain_letter));
  }
}

void PtbScanner::web() {
  token(web_.url(at_), Form::as_written);
  token(web_.email(at_), Form::as_written);
  token(web_.tag(at_), Form::as_written);
  if (text_[at_] == U'@' && (is_ascii_letter(text_[at_ + 1]) || text_[at_ + 1] == U'_')) {
    token(text_.run_end(at_ + 1, [](char32_t c) { return is_ascii_alphanumeric(c) || c == U'_'; }));
  }
  if (text_[at_] == U'#' && is_ptb_letter(text_[at_ + 1])) token(text_.run_end(at_ + 1, is_ptb_letter));
}

void PtbScanner::file_names() {
  if (const std::size_t end = web_.file_name(at_); end > at_) token(end, end + 1, Form::as_written);
}

/// What remains of contractions after their word: `'s`, `n't`.
void PtbScanner::contractions() {
  if (const auto apostrophe = text_.apostrophe(at_)) {
    const std::size_t rest = at_ + apostrophe;
    const auto ending = [&](std::size_t end) {
      if (end < text_.size() && !is_ascii_letter(text_[end])) return token(end, end + 1);
      // Before a letter, or at the end of the text, a straight apostrophe may be a quote as well.
      if (text_[at_] == U'\'') opening_quote();
      token(end);
    };
    for (const std::string_view letters : {"re", "ve", "ll"}) {
      if (const auto length = text_.literal(rest, letters)) ending(rest + length);
    }
    if (is_one_of(text_[rest], U"msdMSD")) ending(rest + 1);
  }
  if (text_.literal(at_, "n")) {
    const auto apostrophe = text_.apostrophe_or_quote(at_ + 1);
    if (apostrophe && text_.literal(at_ + 1 + apostrophe, "t")) token(at_ + apostrophe + 2);
  }
}

/// Letters and digits in chunks that single hyphens join. A chunk may begin with d', o' or l'.
std::size_t PtbScanner::chunk_chain_end(std::size_t at) const {
  const auto is_plain = [](char32_t c) { return is_ptb_plain_letter(c) || is_ptb_digit(c); };
  std::size_t end = at;
  for (std::size_t chunk = at;;) {
    std::size_t chunk_end = text_.run_end(chunk, is_plain);
    if (const auto apostrophe = is_one_of(text_[chunk], U"dDoOlL") ? text_.apostrophe_or_quote(chunk + 1) : 0) {
      const std::size_t rest = text_.run_end(chunk + 1 + apostrophe, is_plain);
      if (rest >= chunk + apostrophe + 3) chunk_end = rest;
    }
    if (chunk_end == chunk) return end;
    end = chunk_end;
    if (!is_hyphen(text_[end])) return end;
    chunk = end + 1;
  }
}

/// `and/or`: two or three parts, each with at most two further words behind hyphens.
std::size_t PtbScanner::slashed_end(std::size_t at) const {
  const auto part_end = [&](std::size_t from) {
    std::size_t end = text_.run_end(from, is_ascii_alphanumeric);
    for (int words = 0; end > from && words < 2 && text_[end] == U'-'; ++words) {
      const std::size_t word = text_.run_end(end + 1, is_ascii_letter);
      if (word == end + 1) break;
      end = word;
    }
    return end;
  };
  std::size_t end = part_end(at);
  if (end == at) return at;
  std::size_t accepted = at;
  for (int parts = 1; parts < 3; ++parts) {
    const std::size_t slash = text_[end] == U'\\' ? end + 1 : end;
    if (text_[slash] != U'/') break;
    const std::size_t part = part_end(slash + 1);
    if (part == slash + 1) break;
    accepted = end = part;
  }
  return accepted;
}

void PtbScanner::chunks() {
  for (const std::string_view name :
       {"pro-", "anti-", "c++", "c#", "f#", "c.d.s", "-lrb-", "-rrb-", "-lsb-", "-rsb-", "-lcb-", "-rcb-"}) {
    if (const auto length = text_.literal(at_, name)) token(at_ + length);
  }
  word_or_stopped_word(chunk_chain_end(at_));
  word_or_stopped_word(web_.hyphenated(at_));
  token(slashed_end(at_));

  // AT&T
  const auto joint = [&](std::size_t at) -> std::size_t {
    if (const auto entity = text_.literal(at, "&amp;")) return entity;
    return is_one_of(text_[at], U"&+") ? 1 : 0;
  };
  if (text_.literal(at_, "s")) {
    const auto entity = text_.literal(at_ + 1, "&amp;");
    const auto ampersand = entity ? entity : text_.literal(at_ + 1, "&");
    for (const std::string_view name : {"p-500", "ls"}) {
      if (const auto length = ampersand ? text_.literal(at_ + 1 + ampersand, name) : 0)
        token(at_ + 1 + ampersand + length);
    }
  }
  std::size_t end = text_.run_end(at_, is_ascii_upper);
  if (end == at_) return;
  std::size_t accepted = at_;
  while (const auto length = joint(end)) {
    const std::size_t capitals = text_.run_end(end + length, is_ascii_upper);
    if (capitals == end + length) break;
    accepted = end = capitals;
  }
  word_or_stopped_word(accepted);
}

std::size_t PtbScanner::sentence_start(std::size_t at) {
  if (!is_ptb_white_space(text_[at])) return at;
  if (is_ptb_white_space(text_[at + 1]) || is_ptb_upper(text_[at + 1])) return at + 2;
  const std::size_t tag = web_.tag(at + 1);
  return tag > at + 1 ? tag : at;
}

void PtbScanner::abbreviations() {
  std::size_t dot = text_.run_end(at_, is_ascii_letter);
  if (dot == at_ || text_[dot] != U'.') return;
  const bool degree = text_.literal(at_, "ph.d.") || text_.literal(at_, "ed.d.");
  if (degree) dot = at_ + 4;
  const std::size_t behind = dot + 1;
  switch (degree ? PtbAbbreviation::may_end_sentence : find_ptb_abbreviation(text_, at_, dot)) {
    case PtbAbbreviation::none: return;
    case PtbAbbreviation::title: return token(behind);
    case PtbAbbreviation::before_number: {
      const std::size_t number = is_ptb_white_space(text_[behind]) ? behind + 1 : behind;
      if (is_ptb_digit(text_[number])) token(behind, number + 1);
      return;
    }
    case PtbAbbreviation::may_end_sentence: break;
  }
  // Co. Ltd.
  const bool company = text_.literal(at_, "co.") || text_.literal(at_, "pte.") || text_.literal(at_, "pty.");
  if (company && is_ptb_inner_space(text_[behind]) &&
      (text_.literal(behind + 1, "ltd") || text_.literal(behind + 1, "lim"))) {
    return token(behind, behind + 4);
  }
  const std::size_t sentence = sentence_start(behind);
  // One more character does not make this the middle of a text; one beyond the Basic Multilingual Plane counts twice.
  constexpr char32_t kLastOfBasicPlane = 0xFFFF;
  const bool at_end = behind == text_.size() || (behind + 1 == text_.size() && text_[behind] <= kLastOfBasicPlane);
  if (sentence > behind) {
    consider({sentence, behind, dot, Form::word, {}});
  } else if (at_end) {
    consider({behind, behind, dot, Form::word, {}});
  } else {
    token(behind, behind + 2);
  }
}

/// `b.`, `u.s.`: the dot stays, but is a full stop too (of a lone letter, that alone) before a word that opens
/// sentences.
void PtbScanner::dotted_letters() {
  const std::size_t end = ptb_dotted_letters(text_, at_, 1);
  if (end == at_) return;
  const std::size_t word = text_.run_end(end, is_ptb_white_space);
  const auto opener = word > end ? ptb_sentence_opener(text_, word) : 0;
  if (opener) {
    const bool lone = end == at_ + 2;
    consider({word + opener + 1, lone ? end - 1 : end, end - 1, Form::word, {}});
  }
  token(end);
}

}  // namespace capdiff
