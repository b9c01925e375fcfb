#include "capdiff/text/clean_caption.h"

#include <algorithm>

#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

std::u32string collapse_white_space(std::u32string_view text) {
  std::u32string collapsed;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && is_white_space(text[end])) ++end;
    // A lone tab or no-break space is kept as it is.
    collapsed.push_back(end - begin >= 2 ? U' ' : text[begin]);
    begin = std::max(end, begin + 1);
  }
  return collapsed;
}

std::u32string_view strip(std::u32string_view text) {
  while (text.ends_with(U'\n')) text.remove_suffix(1);
  while (text.ends_with(U' ')) text.remove_suffix(1);
  while (text.starts_with(U' ')) text.remove_prefix(1);
  return text;
}

std::u32string_view first_words(std::u32string_view text, std::size_t max_words) {
  if (max_words == 0) return {};
  std::size_t words = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == U' ' && words++ == max_words) return text.substr(0, i);
  }
  return text;
}

}  // namespace

std::string clean_caption(std::string_view caption, const CaptionCleaning& cleaning) {
  std::u32string text = lower_case(decode_utf8(caption));
  const std::u32string_view removed = cleaning.keep_full_stop ? U"!\"()*#:;~" : U".!\"()*#:;~";
  for (char32_t& c : text) {
    if (removed.find(c) != std::u32string_view::npos) c = U' ';
  }
  text = collapse_white_space(text);
  return encode_utf8(first_words(strip(text), cleaning.max_words));
}

}  // namespace capdiff
