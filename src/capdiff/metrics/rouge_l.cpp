#include "capdiff/metrics/rouge_l.h"

#include <algorithm>
#include <cstdint>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/metrics/ngrams.h"

namespace capdiff {
namespace {

using Words = std::vector<std::uint32_t>;

constexpr double kBetaSquared = 1.2 * 1.2;
constexpr std::size_t kBits = 64;

const Tokens& nonempty(const Tokens& caption) {
  static const Tokens empty_word{""};
  return caption.empty() ? empty_word : caption;
}

/// The bits of positions in a pattern of at most 64 words.
std::size_t common_subsequence_of_short(const Words& pattern, const Words& text) {
  std::uint64_t row = ~std::uint64_t{0};
  for (const std::uint32_t word : text) {
    std::uint64_t matches = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) matches |= std::uint64_t{pattern[i] == word} << i;
    const std::uint64_t shared = row & matches;
    row = (row + shared) | (row - shared);
  }
  const std::uint64_t used = pattern.size() == kBits ? ~std::uint64_t{0} : (std::uint64_t{1} << pattern.size()) - 1;
  return static_cast<std::size_t>(__builtin_popcountll(~row & used));
}

/// The same over as many machine words as the pattern takes, with carries between them.
std::size_t common_subsequence_of_long(const Words& pattern, const Words& text) {
  std::vector<std::vector<std::uint32_t>> places(1 + *std::ranges::max_element(pattern));  // of each word
  for (std::size_t i = 0; i < pattern.size(); ++i) places[pattern[i]].push_back(static_cast<std::uint32_t>(i));
  const std::size_t blocks = (pattern.size() + kBits - 1) / kBits;
  std::vector<std::uint64_t> row(blocks, ~std::uint64_t{0});
  std::vector<std::uint64_t> matches(blocks, 0);
  for (const std::uint32_t word : text) {
    if (word >= places.size() || places[word].empty()) continue;
    for (const std::uint32_t place : places[word]) matches[place / kBits] |= std::uint64_t{1} << (place % kBits);
    std::uint64_t carry = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::uint64_t shared = row[block] & matches[block];
      const std::uint64_t partial = row[block] + shared;
      const std::uint64_t sum = partial + carry;
      carry = std::uint64_t{partial < shared} | std::uint64_t{sum < partial};
      row[block] = sum | (row[block] - shared);
    }
    for (const std::uint32_t place : places[word]) matches[place / kBits] = 0;
  }
  std::size_t length = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) length += !(row[i / kBits] >> (i % kBits) & 1);
  return length;
}

std::size_t common_subsequence(const Words& a, const Words& b) {
  const Words& pattern = a.size() < b.size() ? a : b;
  const Words& text = a.size() < b.size() ? b : a;
  if (pattern.empty()) return 0;
  return pattern.size() <= kBits ? common_subsequence_of_short(pattern, text)
                                 : common_subsequence_of_long(pattern, text);
}

double rouge_l(const ScoredImage& image) {
  WordNumbers numbers;
  const Words candidate = numbers.number(nonempty(image.candidate));
  double precision = 0;
  double recall = 0;
  for (const auto& caption : image.references) {
    const Words reference = numbers.number(nonempty(caption));
    if (reference.size() > kMaxRougeLPairs / candidate.size()) {
      fail(ErrorCode::unsupported, "image {}: captions of {} and {} words are too long for ROUGE-L", image.id,
           candidate.size(), reference.size());
    }
    const auto common = static_cast<double>(common_subsequence(candidate, reference));
    precision = std::max(precision, common / static_cast<double>(candidate.size()));
    recall = std::max(recall, common / static_cast<double>(reference.size()));
  }
  if (precision == 0 || recall == 0) return 0;
  return (1 + kBetaSquared) * precision * recall / (recall + kBetaSquared * precision);
}

}  // namespace

MetricResult rouge_l(std::span<const ScoredImage> images) {
  require_references(images);
  std::vector<double> values(images.size());
  parallel_for(images.size(), [&](std::size_t i) { values[i] = rouge_l(images[i]); });
  return mean_over_images(std::move(values));
}

std::size_t longest_common_subsequence(const Tokens& a, const Tokens& b) {
  WordNumbers numbers;
  const Words first = numbers.number(a);
  return common_subsequence(first, numbers.number(b));
}

Tokens cut_at_spaces(std::string_view caption) {
  Tokens words{""};
  for (const char c : caption) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back().push_back(c);
    }
  }
  return words;
}

}  // namespace capdiff
