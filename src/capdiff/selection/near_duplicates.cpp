#include "capdiff/selection/near_duplicates.h"

#include <algorithm>
#include <iterator>

#include "capdiff/metrics/caption_tokens.h"

namespace capdiff {
namespace {

/// The words of a text and its pairs of neighbours, sorted.
std::vector<std::string> words_and_pairs(const Tokens& words) {
  std::vector<std::string> bag = words;
  for (std::size_t i = 1; i < words.size(); ++i) bag.push_back(words[i - 1] + ' ' + words[i]);
  std::ranges::sort(bag);
  return bag;
}

double shared(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() && b.empty()) return 1.0;
  std::vector<std::string> common;
  std::ranges::set_intersection(a, b, std::back_inserter(common));
  return 2.0 * static_cast<double>(common.size()) / static_cast<double>(a.size() + b.size());
}

std::vector<std::vector<std::string>> bags_of(std::span<const std::string> texts) {
  std::vector<std::vector<std::string>> bags;
  for (const Tokens& words : LowerNoPunctuationTokenizer().tokenize(texts)) bags.push_back(words_and_pairs(words));
  return bags;
}

}  // namespace

double shared_words(const std::string& a, const std::string& b) {
  const std::vector<std::string> texts{a, b};
  const auto bags = bags_of(texts);
  return shared(bags[0], bags[1]);
}

std::vector<std::size_t> without_near_duplicates(std::span<const std::string> texts, double limit) {
  const auto bags = bags_of(texts);
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < bags.size(); ++i)
    if (std::ranges::none_of(kept, [&](std::size_t k) { return shared(bags[k], bags[i]) >= limit; })) kept.push_back(i);
  return kept;
}

}  // namespace capdiff
