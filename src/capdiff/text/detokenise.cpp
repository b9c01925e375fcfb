#include "capdiff/text/detokenise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string replaced;
  std::size_t begin = 0;
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, begin)) {
    replaced.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  text = std::move(replaced.append(text, begin));
}

std::string_view strip(std::string_view text, char removed) {
  while (text.starts_with(removed)) text.remove_prefix(1);
  while (text.ends_with(removed)) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string join_pieces(const Vocabulary& vocabulary, std::span<const std::int64_t> ids) {
  std::string text;
  for (const auto id : ids) {
    if (!text.empty()) text.push_back(' ');
    text.append(vocabulary.token(id));
  }
  replace_all(text, " ##", "");
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kCleanUps{{{" .", "."},
                                                                                            {" ?", "?"},
                                                                                            {" !", "!"},
                                                                                            {" ,", ","},
                                                                                            {" ' ", "'"},
                                                                                            {" n't", "n't"},
                                                                                            {" 'm", "'m"},
                                                                                            {" 's", "'s"},
                                                                                            {" 've", "'ve"},
                                                                                            {" 're", "'re"}}};
  for (const auto& [from, to] : kCleanUps) replace_all(text, from, to);
  return text;
}

std::vector<std::int64_t> without_tokens(std::span<const std::int64_t> ids, std::span<const std::int64_t> dropped) {
  std::vector<std::int64_t> kept;
  for (const auto id : ids) {
    if (std::find(dropped.begin(), dropped.end(), id) == dropped.end()) kept.push_back(id);
  }
  return kept;
}

std::vector<std::vector<std::int64_t>> unique_consecutive_columns(std::vector<std::vector<std::int64_t>> rows) {
  if (rows.empty()) return rows;
  const std::size_t length = rows.front().size();
  for (const auto& row : rows) {
    if (row.size() != length) {
      fail(ErrorCode::invalid_input, "rows of ids must be equally long, found {} and {}", length, row.size());
    }
  }
  std::size_t kept = 0;
  for (std::size_t column = 0; column < length; ++column) {
    const bool repeats = kept > 0 && std::all_of(rows.begin(), rows.end(),
                                                 [&](const auto& row) { return row[column] == row[column - 1]; });
    if (repeats) continue;
    // Columns are compacted in place: those before `kept` are written, and `kept` <= `column`.
    for (auto& row : rows) row[kept] = row[column];
    ++kept;
  }
  for (auto& row : rows) row.resize(kept);
  return rows;
}

std::string without_repeated_words(std::string_view text) {
  auto words = split_white_space(text);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return fmt::format("{}", fmt::join(words, " "));
}

std::string without_stutter(std::string_view text) {
  auto words = split_white_space(text);
  const auto equal = [](std::string_view first, std::string_view second) {
    return first == second || (second.ends_with('.') && first == second.substr(0, second.size() - 1));
  };
  // Shorter phrases first: of "on on the beach on the beach", "on on" goes before it can hide the rest.
  for (std::ptrdiff_t n = 1; 2 * n <= std::ssize(words); ++n) {
    for (std::ptrdiff_t at = 0; at + 2 * n <= std::ssize(words);) {
      const auto first = words.begin() + at;
      if (std::equal(first, first + n, first + n, equal))
        words.erase(first, first + n);
      else
        ++at;
    }
  }
  return fmt::format("{}", fmt::join(words, " "));
}

std::string tidy_released_caption(std::string_view text) {
  const std::string words = without_repeated_words(text);
  return std::string(strip(strip(words, '.'), ' ')) + ".";
}

std::string tidy_paper_caption(std::string_view text) {
  while (text.starts_with("##")) text.remove_prefix(2);
  return without_stutter(text);
}

std::string released_caption(const Vocabulary& vocabulary, std::span<const std::int64_t> ids) {
  std::vector<std::int64_t> unique(ids.begin(), ids.end());
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  return tidy_released_caption(join_pieces(vocabulary, unique));
}

std::string paper_caption(const Vocabulary& vocabulary, std::span<const std::int64_t> ids) {
  const std::array dropped{vocabulary.pad(), vocabulary.cls(), vocabulary.sep()};
  return join_pieces(vocabulary, without_tokens(ids, dropped));
}

}  // namespace capdiff
