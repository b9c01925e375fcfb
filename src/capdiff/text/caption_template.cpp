#include "capdiff/text/caption_template.h"

#include <charconv>
#include <optional>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

constexpr std::int64_t kMaxWords = 64;

/// The number that `text` begins with; `text` moves behind it.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || text.starts_with('-')) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// The blank at the beginning of `text`, which moves behind it; nothing where there is none.
std::optional<CaptionTemplate::Part> take_blank(std::string_view& text) {
  std::string_view rest = text;
  if (!rest.starts_with("[MASK") && !rest.starts_with("[UNK")) return std::nullopt;
  rest.remove_prefix(rest.starts_with("[MASK") ? 5 : 4);
  CaptionTemplate::Part blank{"", 1, 1};
  if (rest.starts_with(':')) {
    rest.remove_prefix(1);
    const std::optional<std::int64_t> least = take_number(rest);
    if (!least) return std::nullopt;
    blank.min_words = blank.max_words = *least;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      const std::optional<std::int64_t> most = take_number(rest);
      if (!most) return std::nullopt;
      blank.max_words = *most;
    }
  }
  if (!rest.starts_with(']')) return std::nullopt;
  rest.remove_prefix(1);
  if (blank.min_words < 1 || blank.max_words > kMaxWords || blank.min_words > blank.max_words)
    fail(ErrorCode::usage, "'{}': a blank has between 1 and {} words, the smaller number first",
         text.substr(0, text.size() - rest.size()), kMaxWords);
  text = rest;
  return blank;
}

}  // namespace

std::vector<std::vector<std::int64_t>> CaptionTemplate::lengths(std::size_t limit) const {
  std::vector<std::vector<std::int64_t>> all{{}};
  for (const Part& part : parts) {
    if (!part.is_blank()) continue;
    std::vector<std::vector<std::int64_t>> longer;
    for (const auto& begun : all) {
      for (std::int64_t words = part.min_words; words <= part.max_words; ++words) {
        longer.push_back(begun);
        longer.back().push_back(words);
        if (longer.size() > limit)
          fail(ErrorCode::usage, "the blanks can have their lengths in more than {} ways; give fewer ranges", limit);
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::string CaptionTemplate::filled(const std::vector<std::int64_t>& lengths,
                                    const std::vector<std::string>& words) const {
  std::string sentence;
  std::size_t blank = 0, word = 0;
  for (const Part& part : parts) {
    if (!part.is_blank()) {
      sentence += part.text;
      continue;
    }
    for (std::int64_t i = 0; i < lengths.at(blank); ++i) {
      if (i > 0) sentence += ' ';
      sentence += words.at(word++);
    }
    ++blank;
  }
  return sentence;
}

CaptionTemplate parse_caption_template(std::string_view sentence) {
  CaptionTemplate result;
  std::string text;
  bool has_blank = false;
  while (!sentence.empty()) {
    if (auto blank = take_blank(sentence)) {
      if (!text.empty()) result.parts.push_back({std::move(text), 0, 0});
      text.clear();
      result.parts.push_back(*blank);
      has_blank = true;
      continue;
    }
    text += sentence.front();
    sentence.remove_prefix(1);
  }
  if (!text.empty()) result.parts.push_back({std::move(text), 0, 0});
  if (!has_blank) fail(ErrorCode::usage, "the sentence has no blank: write [MASK] where a word is to be found");
  return result;
}

}  // namespace capdiff
