#include "capdiff/metrics/ptb_web.h"

#include <algorithm>
#include <string_view>

namespace capdiff {
namespace {

constexpr std::string_view kDomains[] = {"com", "net", "org", "edu"};
constexpr std::string_view kFileExtensions[] = {
    "bat",  "bmp",  "c",   "class", "cgi",  "cpp", "dll", "doc", "docx", "exe", "gif", "gz",  "h",
    "htm",  "html", "jar", "java",  "jpeg", "jpg", "mov", "mp3", "pdf",  "php", "pl",  "png", "ppt",
    "pptx", "ps",   "py",  "sql",   "tar",  "txt", "wav", "x",   "xlsx", "xml", "zip"};

bool is_soft_alphanumeric(char32_t c) {
  return is_ascii_alphanumeric(c) || c == 0xAD;
}

/// What no address contains.
bool ends_address(char32_t c) {
  return is_ptb_white_space(c) || is_one_of(c, U"\"<>|()");
}

bool is_www_piece(char32_t c) {
  return !ends_address(c) && !is_one_of(c, U"`.!?{},");
}

/// The punctuation from `,` to `_` in ASCII order, digits and capitals included, has no place in a bare name.
bool is_domain_piece(char32_t c) {
  return is_www_piece(c) && !(c >= U',' && c <= U'_') && c != U'$';
}

bool is_tag_name(char32_t c) {
  return is_ascii_alphanumeric(c) || is_one_of(c, U":.-");
}

template <std::size_t N>
std::size_t starts_with_one_of(const PtbText& text, std::size_t at, const std::string_view (&words)[N]) {
  for (const auto& word : words) {
    if (const auto length = text.literal(at, word)) return length;
  }
  return 0;
}

}  // namespace

std::size_t ptb_dotted_letters(const PtbText& text, std::size_t at, std::size_t minimum) {
  std::size_t letters = 0;
  std::size_t end = at;
  while (is_ascii_letter(text[end]) && text[end + 1] == U'.') {
    ++letters;
    end += 2;
  }
  return letters >= minimum ? end : at;
}

/// The stretch around `at` of pieces that single dots join, and in it the last piece that `piece_end` accepts
/// (returning how much of it, or 0). The first piece is never that.
template <class IsMember, class PieceEnd>
const PtbWeb::Stretch& PtbWeb::dotted(Stretch& stretch, std::size_t at, IsMember&& is_member,
                                      PieceEnd&& piece_end) const {
  if (stretch.covers(at)) return stretch;
  stretch = {at, at, at, at};
  std::size_t end = text_.run_end(at, is_member);
  while (end > at && text_[end] == U'.') {
    const std::size_t piece = end + 1;
    end = text_.run_end(piece, is_member);
    if (const std::size_t length = piece_end(piece)) {
      stretch.last = piece;
      stretch.accept = piece + length;
    }
    if (end == piece) break;
  }
  stretch.end = std::max(end, at + 1);
  return stretch;
}

std::size_t PtbWeb::full_url(std::size_t at) const {
  std::size_t begin = text_.literal(at, "http://");
  if (begin == 0) begin = text_.literal(at, "https://");
  if (begin == 0) return at;
  begin += at;
  std::size_t end = text_.run_end(begin, [](char32_t c) { return !ends_address(c) && c != U'{' && c != U'}'; });
  while (end > begin && is_one_of(text_[end - 1], U"'.!?,-")) --end;
  return end >= begin + 2 ? end : at;
}

std::size_t PtbWeb::url_path(std::size_t at) const {
  if (text_[at] != U'/') return at;
  std::size_t end = text_.run_end(at + 1, [](char32_t c) { return !ends_address(c); });
  while (end > at + 1 && is_one_of(text_[end - 1], U".!?{},-")) --end;
  return end >= at + 3 ? end : at;
}

std::size_t PtbWeb::url(std::size_t at) {
  std::size_t end = full_url(at);
  const auto take = [&](const Stretch& stretch, std::size_t least) {
    if (stretch.last > at + least) end = std::max(end, url_path(stretch.accept));
  };
  if (text_.literal(at, "www.")) {
    take(dotted(www_, at, is_www_piece,
                [&](std::size_t piece) {
                  const auto letters = std::min(text_.run_end(piece, is_ascii_letter), piece + 4) - piece;
                  return letters >= 2 ? letters : 0;
                }),
         std::string_view("www.").size());
  }
  if (is_domain_piece(text_[at])) {
    take(dotted(domain_, at, is_domain_piece,
                [&](std::size_t piece) { return starts_with_one_of(text_, piece, kDomains); }),
         0);
  }
  return end;
}

std::size_t PtbWeb::email(std::size_t at) {
  std::size_t begin = at;
  if (text_[at] == U'<') {
    begin += 1;
  } else if (const auto bracket = text_.literal(at, "&lt;")) {
    begin += bracket;
  }
  if (!is_ascii_alphanumeric(text_[begin])) return at;
  if (!email_.covers(begin)) {
    const std::size_t end = text_.run_end(begin, [](char32_t c) { return !ends_address(c); });
    email_ = {begin, end, begin, begin};
    for (std::size_t i = end; i-- > begin && email_.last == begin;) {
      if (text_[i] != U'@' || i + 1 >= end || text_[i + 1] == U'.') continue;
      email_.last = i;
    }
    std::size_t host = email_.last;
    while (host + 1 < end && !(text_[host] == U'.' && text_[host + 1] == U'.')) ++host;
    while (host > email_.last && text_[host] == U'.') --host;
    email_.accept = host + 1;
  }
  if (begin >= email_.last) return at;
  const std::size_t end = email_.accept;
  return text_[end] == U'>' ? end + 1 : end;
}

std::size_t PtbWeb::file_name(std::size_t at) {
  const auto is_member = [](char32_t c) { return is_ptb_letter(c) || is_ptb_digit(c); };
  if (!is_member(text_[at])) return at;
  const auto& name = dotted(file_name_, at, is_member, [&](std::size_t piece) -> std::size_t {
    const std::size_t length = text_.run_end(piece, is_member) - piece;
    const char32_t after = text_[piece + length];
    if (!is_ptb_white_space(after) && !is_one_of(after, U".?!,")) return 0;
    for (const auto& extension : kFileExtensions) {
      if (extension.size() == length && text_.literal(piece, extension)) return length;
    }
    return 0;
  });
  return name.last > at ? name.accept : at;
}

std::size_t PtbWeb::attributes(std::size_t at) const {
  const auto spaces = [&](std::size_t from) { return text_.run_end(from, [](char32_t c) { return c == U' '; }); };
  for (;;) {
    const std::size_t name = spaces(at);
    if (name == at || !is_ascii_letter(text_[name])) return at;
    at = text_.run_end(name, is_tag_name);
    const std::size_t equals = spaces(at);
    if (text_[equals] != U'=') continue;
    const std::size_t quote = spaces(equals + 1);
    if (text_[quote] != U'"' && text_[quote] != U'\'') return at;
    const std::size_t close = text_.run_end(quote + 1, [](char32_t c) { return !is_one_of(c, U"\r\n'\""); });
    if (text_[close] != U'"' && text_[close] != U'\'') return at;
    at = close + 1;
  }
}

std::size_t PtbWeb::tag(std::size_t at) {
  if (text_[at] != U'<') return at;
  std::size_t name = at + 1;
  if (text_[name] == U'!' || text_[name] == U'?') {
    if (!is_ascii_letter(text_[name + 1]) && text_[name + 1] != U'-') return at;
    if (!declaration_.covers(name)) {
      declaration_.begin = name;
      declaration_.end = text_.run_end(name, [](char32_t c) { return !is_one_of(c, U"\r\n>"); });
    }
    return text_[declaration_.end] == U'>' ? declaration_.end + 1 : at;
  }
  if (text_[name] == U'/') ++name;
  if (!is_ascii_letter(text_[name])) return at;
  std::size_t end = attributes(text_.run_end(name, is_tag_name));
  const auto is_space = [](char32_t c) { return c == U' '; };
  end = text_.run_end(end, is_space);
  if (text_[end] == U'/') end = text_.run_end(end + 1, is_space);
  return text_[end] == U'>' ? end + 1 : at;
}

std::size_t PtbWeb::hyphenated(std::size_t at) {
  if (!is_ascii_alphanumeric(text_[at])) return at;
  if (!hyphen_head_.covers(at)) {
    hyphen_head_.begin = at;
    hyphen_head_.end = text_.run_end(at, [](char32_t c) { return is_soft_alphanumeric(c) || c == U'.' || c == U','; });
  }
  std::size_t end = hyphen_head_.end;
  while (text_[end] == U'-') {
    const std::size_t part =
        std::max(text_.run_end(end + 1, is_soft_alphanumeric), ptb_dotted_letters(text_, end + 1, 2));
    if (part == end + 1) break;
    end = part;
  }
  return end > hyphen_head_.end ? end : at;
}

}  // namespace capdiff
