#include "capdiff/metrics/meteor_paraphrases.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"
#include "capdiff/formats/gzip_text.h"

namespace capdiff {
namespace {

constexpr std::uint64_t kMaxParaphraseBytes = std::uint64_t{1} << 30;
constexpr std::size_t kMaxPairs = std::size_t{1} << 25;
constexpr std::size_t kMaxPhraseWords = std::size_t{1} << 27;
constexpr std::size_t kLongestPhrase = 255;

bool is_probability(std::string_view line) {
  double value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  return error == std::errc() && end == line.data() + line.size();
}

std::vector<std::string_view> split_words(std::string_view line) {
  constexpr std::string_view kSpaces = " \t\r\f";
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find_first_of(kSpaces, at), line.size());
    if (end > at) words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace

std::span<const std::uint32_t> MeteorParaphrases::Phrases::words_of(std::uint32_t phrase) const {
  const std::uint32_t begin = phrase == 0 ? 0 : ends_[phrase - 1];
  return std::span(words_).subspan(begin, ends_[phrase] - begin);
}

std::size_t MeteorParaphrases::Phrases::slot(std::span<const std::uint32_t> words) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = xxh3_64(std::as_bytes(words)) & mask;
  while (slots_[slot] != kNone && !std::ranges::equal(words_of(slots_[slot]), words)) slot = (slot + 1) & mask;
  return slot;
}

std::uint32_t MeteorParaphrases::Phrases::find(std::span<const std::uint32_t> words) const {
  return slots_.empty() ? kNone : slots_[slot(words)];
}

void MeteorParaphrases::Phrases::grow() {
  slots_.assign(std::max<std::size_t>(64, 2 * slots_.size()), kNone);
  for (std::uint32_t phrase = 0; phrase < ends_.size(); ++phrase) slots_[slot(words_of(phrase))] = phrase;
}

std::uint32_t MeteorParaphrases::Phrases::add(std::span<const std::uint32_t> words) {
  if (2 * (ends_.size() + 1) > slots_.size()) grow();
  std::uint32_t& phrase = slots_[slot(words)];
  if (phrase == kNone) {
    phrase = static_cast<std::uint32_t>(ends_.size());
    words_.insert(words_.end(), words.begin(), words.end());
    ends_.push_back(static_cast<std::uint32_t>(words_.size()));
    longest_ = std::max(longest_, words.size());
  }
  return phrase;
}

std::uint32_t MeteorParaphrases::add_phrase(std::string_view line) {
  std::vector<std::uint32_t> numbers;
  for (const std::string_view word : split_words(line)) {
    const auto next = static_cast<std::uint32_t>(word_numbers_.size() + 1);
    const auto known = word_numbers_.find(word);
    numbers.push_back(known != word_numbers_.end() ? known->second : next);
    if (known == word_numbers_.end()) word_numbers_.emplace(word, next);
  }
  if (numbers.empty() || numbers.size() > kLongestPhrase || phrases_.total_words() > kMaxPhraseWords)
    return Phrases::kNone;
  return phrases_.add(numbers);
}

void MeteorParaphrases::arrange(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs) {
  first_.assign(phrases_.size() + 1, 0);
  for (const auto& pair : pairs) ++first_[pair.first + 1];
  for (std::size_t phrase = 0; phrase < phrases_.size(); ++phrase) first_[phrase + 1] += first_[phrase];
  std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
  paraphrases_.resize(pairs.size());
  for (std::uint32_t order = 0; order < pairs.size(); ++order)
    paraphrases_[next[pairs[order].first]++] = {pairs[order].second, order};
  for (std::size_t phrase = 0; phrase < phrases_.size(); ++phrase) {
    std::sort(paraphrases_.begin() + first_[phrase], paraphrases_.begin() + first_[phrase + 1],
              [](const Paraphrase& a, const Paraphrase& b) {
                return std::tie(a.phrase, a.order) < std::tie(b.phrase, b.order);
              });
  }
}

MeteorParaphrases MeteorParaphrases::load(const std::filesystem::path& path) {
  MeteorParaphrases table;
  GzipLineReader reader(path, kMaxParaphraseBytes);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  std::string line;
  const auto read_phrase = [&] {
    if (!reader.next(line))
      fail(ErrorCode::invalid_input, "{} ends in the middle of a pair of phrases, after line {}", path.string(),
           reader.line_number());
    const std::uint32_t phrase = table.add_phrase(line);
    if (phrase == Phrases::kNone)
      fail(ErrorCode::invalid_input, "{}: line {} is not a phrase of 1 to {} words, or there are more than {} words",
           path.string(), reader.line_number(), kLongestPhrase, kMaxPhraseWords);
    return phrase;
  };
  while (reader.next(line)) {
    if (!is_probability(line))
      fail(ErrorCode::invalid_input, "{}: line {} is not the probability of a pair of phrases", path.string(),
           reader.line_number());
    if (pairs.size() == kMaxPairs)
      fail(ErrorCode::invalid_input, "{} holds more than {} pairs of phrases", path.string(), kMaxPairs);
    const std::uint32_t phrase = read_phrase();
    pairs.emplace_back(phrase, read_phrase());
  }
  table.arrange(pairs);
  return table;
}

std::uint32_t MeteorParaphrases::word_number(std::string_view word) const {
  const auto found = word_numbers_.find(word);
  return found == word_numbers_.end() ? 0 : found->second;
}

std::vector<MeteorParaphrases::Occurrence> MeteorParaphrases::occurrences(std::span<const std::uint32_t> words) const {
  std::vector<Occurrence> found;
  for (std::size_t begin = 0; begin < words.size(); ++begin) {
    const std::size_t most = std::min(phrases_.longest(), words.size() - begin);
    for (std::size_t length = 1; length <= most && words[begin + length - 1] != 0; ++length) {
      const std::uint32_t phrase = phrases_.find(words.subspan(begin, length));
      if (phrase != Phrases::kNone)
        found.push_back({phrase, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(length)});
    }
  }
  return found;
}

std::span<const MeteorParaphrases::Paraphrase> MeteorParaphrases::paraphrases(std::uint32_t phrase) const {
  return std::span(paraphrases_).subspan(first_[phrase], first_[phrase + 1] - first_[phrase]);
}

}  // namespace capdiff
