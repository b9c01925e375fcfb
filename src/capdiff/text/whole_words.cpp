#include "capdiff/text/whole_words.h"

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/text/unicode.h"

namespace capdiff {
namespace {

bool is_special(const std::string& token) {
  return token.size() > 2 && token.front() == '[' && token.back() == ']';
}

bool is_punctuation_alone(const std::string& token) {
  const std::u32string points = decode_utf8(token);
  return std::ranges::all_of(points, [](char32_t c) { return is_punctuation(c); });
}

}  // namespace

std::vector<bool> whole_words(const Vocabulary& vocabulary) {
  std::vector<bool> whole;
  for (const std::string& token : vocabulary.tokens())
    whole.push_back(!is_special(token) && !token.starts_with("##") && !is_punctuation_alone(token));
  return whole;
}

std::int64_t best_allowed(std::span<const float> logits, const std::vector<bool>& allowed,
                          std::optional<std::int64_t> left, std::optional<std::int64_t> right) {
  std::optional<std::size_t> best;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const auto token = static_cast<std::int64_t>(id);
    if (!allowed[id] || token == left || token == right) continue;
    if (!best || logits[id] > logits[*best]) best = id;
  }
  if (!best) fail(ErrorCode::invalid_model, "the vocabulary has no word to put here");
  return static_cast<std::int64_t>(*best);
}

}  // namespace capdiff
