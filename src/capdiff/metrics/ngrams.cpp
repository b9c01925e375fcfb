#include "capdiff/metrics/ngrams.h"

#include <algorithm>

namespace capdiff {

std::size_t order(const Ngram& ngram) {
  return static_cast<std::size_t>(std::find(ngram.words.begin(), ngram.words.end(), 0u) - ngram.words.begin());
}

std::size_t NgramHash::operator()(const Ngram& ngram) const {
  std::uint64_t hash = 0;
  for (const auto word : ngram.words) hash = (hash ^ word) * 0x9E3779B97F4A7C15u + (hash >> 29);
  return hash ^ (hash >> 32);
}

std::size_t NgramTable::find(const Ngram& ngram) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = NgramHash()(ngram) & mask;
  while (slots_[at].ngram[0] != 0 && slots_[at].ngram != ngram) at = (at + 1) & mask;
  return at;
}

std::uint32_t& NgramTable::operator[](const Ngram& ngram) {
  if (5 * (size_ + 1) > 4 * slots_.size()) grow();
  Slot& slot = slots_[find(ngram)];
  if (slot.ngram[0] == 0) {
    slot.ngram = ngram;
    ++size_;
  }
  return slot.count;
}

std::uint32_t NgramTable::count(const Ngram& ngram) const {
  return slots_.empty() ? 0 : slots_[find(ngram)].count;
}

void NgramTable::prefetch(const Ngram& ngram) const {
  if (!slots_.empty()) __builtin_prefetch(&slots_[NgramHash()(ngram) & (slots_.size() - 1)]);
}

void NgramTable::grow() {
  constexpr std::size_t kLeast = 1024;
  std::vector<Slot> old(std::max(kLeast, 2 * slots_.size()));
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.ngram[0] != 0) slots_[find(slot.ngram)] = slot;
}

std::vector<std::uint32_t> WordNumbers::number(const Tokens& tokens) {
  std::vector<std::uint32_t> words;
  words.reserve(tokens.size());
  for (const auto& token : tokens) {
    words.push_back(numbers_.emplace(token, static_cast<std::uint32_t>(numbers_.size() + 1)).first->second);
  }
  return words;
}

std::vector<std::string> WordNumbers::words() const {
  std::vector<std::string> words(numbers_.size());
  for (const auto& [word, number] : numbers_) words[number - 1] = word;
  return words;
}

void append_ngrams(std::vector<Ngram>& ngrams, std::span<const std::uint32_t> words) {
  for (std::size_t begin = 0; begin < words.size(); ++begin) {
    Ngram ngram{};
    for (std::size_t n = 0; n < kMaxNgramOrder && begin + n < words.size(); ++n) {
      ngram[n] = words[begin + n];
      ngrams.push_back(ngram);
    }
  }
}

NgramCounts count_ngrams(std::span<const std::uint32_t> words) {
  std::vector<Ngram> ngrams;
  ngrams.reserve(words.size() * kMaxNgramOrder);
  append_ngrams(ngrams, words);
  std::sort(ngrams.begin(), ngrams.end());
  NgramCounts counts;
  for (const auto& ngram : ngrams) {
    if (counts.empty() || counts.back().first != ngram) counts.emplace_back(ngram, 0);
    ++counts.back().second;
  }
  return counts;
}

std::int64_t count_of(const NgramCounts& counts, const Ngram& ngram) {
  const auto found = std::lower_bound(counts.begin(), counts.end(), ngram,
                                      [](const auto& entry, const Ngram& wanted) { return entry.first < wanted; });
  return found != counts.end() && found->first == ngram ? found->second : 0;
}

std::array<std::int64_t, kMaxNgramOrder> clipped_matches(const NgramCounts& candidate,
                                                         std::span<const NgramCounts> references) {
  std::array<std::int64_t, kMaxNgramOrder> matches{};
  for (const auto& [ngram, count] : candidate) {
    std::int64_t most = 0;
    for (const auto& reference : references) most = std::max(most, count_of(reference, ngram));
    matches[order(ngram) - 1] += std::min(count, most);
  }
  return matches;
}

}  // namespace capdiff
