#include "capdiff/text/basic_tokenizer.h"

#include <algorithm>
#include <array>

#include "capdiff/text/unicode.h"
#include "capdiff/text/unicode_category.h"

namespace capdiff {
namespace {

/// Tab and the line breaks are white space here, not controls.
bool is_dropped(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  if (c < 0x80) return c < ' ' || c == 0x7F;
  if (c == kReplacementCharacter) return true;
  switch (unicode_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN: return true;
    default: return false;
  }
}

/// The blocks that BERT treats as ideographs; kana and hangul are written with spaces or as words, and not among them.
bool is_ideograph(char32_t c) {
  struct Block {
    char32_t first, last;
  };
  static constexpr std::array<Block, 8> kBlocks{{{0x3400, 0x4DBF},
                                                 {0x4E00, 0x9FFF},
                                                 {0xF900, 0xFAFF},
                                                 {0x20000, 0x2A6DF},
                                                 {0x2A700, 0x2B73F},
                                                 {0x2B740, 0x2B81F},
                                                 {0x2B820, 0x2CEAF},
                                                 {0x2F800, 0x2FA1F}}};
  if (c < kBlocks.front().first) return false;
  return std::any_of(kBlocks.begin(), kBlocks.end(), [c](Block b) { return c >= b.first && c <= b.last; });
}

std::u32string cleaned_lower_case(std::string_view text) {
  std::u32string clean;
  clean.reserve(text.size());
  for (const char32_t c : decode_utf8(text)) {
    if (is_dropped(c)) continue;
    if (is_ideograph(c)) {
      clean.append({U' ', c, U' '});
    } else {
      append_lower_case(clean, c);
    }
  }
  return clean;
}

}  // namespace

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

std::vector<std::string> split_words(std::string_view text) {
  std::u32string code_points = cleaned_lower_case(text);
  const bool ascii = std::all_of(code_points.begin(), code_points.end(), [](char32_t c) { return c < 0x80; });
  if (!ascii) code_points = canonical_decomposition(code_points);

  std::vector<std::string> words;
  std::string word;
  const auto finish_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char32_t c : code_points) {
    if (is_white_space(c)) {
      finish_word();
    } else if (is_punctuation(c)) {
      finish_word();
      append_utf8(word, c);
      finish_word();
    } else if (c < 0x80 || unicode_category(c) != UTF8PROC_CATEGORY_MN) {
      append_utf8(word, c);
    }
  }
  finish_word();
  return words;
}

}  // namespace capdiff
