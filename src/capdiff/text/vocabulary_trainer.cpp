#include "capdiff/text/vocabulary_trainer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <queue>
#include <set>
#include <unordered_map>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/text/basic_tokenizer.h"

namespace capdiff {
namespace {

constexpr std::array<std::string_view, 6> kFirstTokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."};

using Piece = std::uint32_t;
using Pair = std::pair<Piece, Piece>;

struct PairHash {
  std::size_t operator()(const Pair& pair) const {
    return std::hash<std::uint64_t>{}((std::uint64_t{pair.first} << 32) | pair.second);
  }
};

/// The characters of a word as pieces: the first as it is, the others behind "##".
std::vector<std::string> character_pieces(std::string_view word) {
  std::vector<std::string> pieces;
  for (const char byte : word) {
    if ((byte & 0xC0) != 0x80) pieces.emplace_back(pieces.empty() ? "" : "##");
    pieces.back().push_back(byte);
  }
  return pieces;
}

/// The tokens made so far, in id order.
class TokenList {
 public:
  TokenList() {
    for (const auto token : kFirstTokens) add(std::string(token));
  }

  /// The id of `text`, which is added if it is new. Two different pairs can make the same piece.
  Piece add(std::string text) {
    const auto [entry, added] = ids_.emplace(std::move(text), texts_.size());
    if (added) texts_.push_back(entry->first);
    return static_cast<Piece>(entry->second);
  }
  std::optional<Piece> find(std::string_view text) const {
    const auto found = ids_.find(text);
    if (found == ids_.end()) return std::nullopt;
    return static_cast<Piece>(found->second);
  }
  const std::string& text(Piece piece) const { return texts_[piece]; }
  std::int64_t size() const { return static_cast<std::int64_t>(texts_.size()); }
  std::vector<std::string> take() { return std::move(texts_); }

 private:
  std::vector<std::string> texts_;
  TokenIds ids_;
};

/// Adds the characters of the corpus that are frequent enough, while there is room.
void add_characters(TokenList& tokens, const WordCounts& words, const VocabularyTrainerOptions& options) {
  std::map<std::string, std::int64_t> counts;
  for (const auto& [word, count] : words.counts()) {
    for (auto& piece : character_pieces(word)) counts[std::move(piece)] += count;
  }
  std::vector<std::pair<std::string, std::int64_t>> characters(counts.begin(), counts.end());
  std::stable_sort(characters.begin(), characters.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (auto& [character, count] : characters) {
    if (count < options.min_character_count || tokens.size() >= options.size) break;
    tokens.add(std::move(character));
  }
}

/// The corpus cut into pieces, with the counts of adjacent pairs kept up to date as pairs are merged.
class PairMerger {
 public:
  PairMerger(TokenList& tokens, const WordCounts& words) : tokens_(tokens), queue_(RarerPair{&tokens}) {
    for (const auto& [text, count] : words.counts()) {
      Word word{{}, count};
      for (const auto& character : character_pieces(text)) {
        const auto piece = tokens.find(character);
        if (!piece) break;
        word.pieces.push_back(*piece);
      }
      if (word.pieces.size() == count_code_points(text)) words_.push_back(std::move(word));
    }
    for (std::size_t i = 0; i < words_.size(); ++i) count_pairs(i, +1);
    enqueue_changed();
  }

  /// Merges the most frequent pair; false where none occurs at least `min_count` times.
  bool merge_next(std::int64_t min_count) {
    while (!queue_.empty()) {
      const auto [count, pair] = queue_.top();
      if (count < min_count) return false;
      queue_.pop();
      // A pair is enqueued again whenever its count changes, so that older entries are out of date.
      if (const auto entry = pairs_.find(pair); entry == pairs_.end() || entry->second.count != count) continue;
      merge(pair);
      return true;
    }
    return false;
  }

 private:
  struct Word {
    std::vector<Piece> pieces;
    std::int64_t count;
  };
  struct PairEntry {
    std::int64_t count = 0;
    std::vector<std::size_t> words;  // every word with the pair, and some that have lost it or are listed twice
  };
  struct Candidate {
    std::int64_t count;
    Pair pair;
  };
  struct RarerPair {
    const TokenList* tokens;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.count != b.count) return a.count < b.count;
      if (a.pair.first != b.pair.first) return tokens->text(a.pair.first) > tokens->text(b.pair.first);
      return tokens->text(a.pair.second) > tokens->text(b.pair.second);
    }
  };

  void count_pairs(std::size_t index, int sign) {
    const Word& word = words_[index];
    for (std::size_t i = 0; i + 1 < word.pieces.size(); ++i) {
      const Pair pair{word.pieces[i], word.pieces[i + 1]};
      PairEntry& entry = pairs_[pair];
      entry.count += sign * word.count;
      if (sign > 0) entry.words.push_back(index);
      changed_.insert(pair);
    }
  }

  void enqueue_changed() {
    for (const Pair& pair : changed_) {
      const auto entry = pairs_.find(pair);
      if (entry->second.count > 0) {
        queue_.push({entry->second.count, pair});
      } else {
        pairs_.erase(entry);
      }
    }
    changed_.clear();
  }

  void merge(Pair pair) {
    const Piece merged = tokens_.add(tokens_.text(pair.first) + tokens_.text(pair.second).substr(2));
    std::vector<std::size_t> affected = std::move(pairs_[pair].words);
    std::sort(affected.begin(), affected.end());
    affected.erase(std::unique(affected.begin(), affected.end()), affected.end());
    for (const std::size_t index : affected) {
      count_pairs(index, -1);
      replace_pair(words_[index].pieces, pair, merged);
      count_pairs(index, +1);
    }
    enqueue_changed();
  }

  static void replace_pair(std::vector<Piece>& pieces, Pair pair, Piece merged) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < pieces.size(); ++kept) {
      const bool found = i + 1 < pieces.size() && pieces[i] == pair.first && pieces[i + 1] == pair.second;
      pieces[kept] = found ? merged : pieces[i];
      i += found ? 2 : 1;
    }
    pieces.resize(kept);
  }

  TokenList& tokens_;
  std::vector<Word> words_;
  std::unordered_map<Pair, PairEntry, PairHash> pairs_;
  std::set<Pair> changed_;
  std::priority_queue<Candidate, std::vector<Candidate>, RarerPair> queue_;
};

}  // namespace

void WordCounts::add(std::string_view caption, std::int64_t count) {
  for (auto& word : split_words(caption)) {
    if (count_code_points(word) <= kMaxWordCodePoints) counts_[std::move(word)] += count;
  }
}

Vocabulary train_vocabulary(const WordCounts& words, const VocabularyTrainerOptions& options) {
  if (options.size <= static_cast<std::int64_t>(kFirstTokens.size())) {
    fail(ErrorCode::usage, "a vocabulary needs more than {} tokens, not {}", kFirstTokens.size(), options.size);
  }
  TokenList tokens;
  add_characters(tokens, words, options);
  PairMerger merger(tokens, words);
  while (tokens.size() < options.size && merger.merge_next(std::max<std::int64_t>(1, options.min_pair_count))) {
  }
  return Vocabulary(tokens.take(), "trained vocabulary");
}

}  // namespace capdiff
