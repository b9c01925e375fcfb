#include "capdiff/metrics/meteor_matches.h"

#include <algorithm>
#include <tuple>

namespace capdiff {
namespace {

/// More are not looked at: a bound on memory that sentences of people do not come near.
constexpr std::size_t kMaxMatches = std::size_t{1} << 22;

using Occurrence = MeteorParaphrases::Occurrence;

MeteorSentence beginning(MeteorSentence sentence) {
  return sentence.first(std::min(sentence.size(), kMeteorAlignedWords));
}

/// Phrases of the paraphrase table in a sentence, in order and by phrase.
struct Phrases {
  Phrases(MeteorSentence sentence, const MeteorParaphrases& paraphrases) {
    std::vector<std::uint32_t> words;
    for (const MeteorWord* word : sentence) words.push_back(word->paraphrase_word);
    in_order = paraphrases.occurrences(words);
    by_phrase = in_order;
    std::ranges::stable_sort(by_phrase, {}, &Occurrence::phrase);
  }

  std::vector<Occurrence> in_order;
  std::vector<Occurrence> by_phrase;
};

/// Calls found(phrase of `from`, paraphrase of it in `to`): for each phrase the pairs in the order of the table, for
/// each pair the places where its paraphrase is.
template <class Found>
void pair_paraphrases(const Phrases& from, const Phrases& to, const MeteorParaphrases& paraphrases, Found found) {
  using Paraphrase = MeteorParaphrases::Paraphrase;
  std::vector<std::pair<std::uint32_t, const Occurrence*>> pairs;  // by order in the table
  std::size_t budget = kMaxMatches;
  for (const Occurrence& phrase : from.in_order) {
    const auto known = paraphrases.paraphrases(phrase.phrase);
    pairs.clear();
    // Either list may be the long one.
    if (known.size() < to.by_phrase.size()) {
      for (const Paraphrase& pair : known)
        for (const Occurrence& other : std::ranges::equal_range(to.by_phrase, pair.phrase, {}, &Occurrence::phrase))
          if (pairs.size() < budget) pairs.emplace_back(pair.order, &other);
    } else {
      for (const Occurrence& other : to.by_phrase)
        for (const Paraphrase& pair : std::ranges::equal_range(known, other.phrase, {}, &Paraphrase::phrase))
          if (pairs.size() < budget) pairs.emplace_back(pair.order, &other);
    }
    budget -= pairs.size();
    if (budget == 0) return;
    std::ranges::stable_sort(pairs, {}, &std::pair<std::uint32_t, const Occurrence*>::first);
    for (const auto& pair : pairs) found(phrase, *pair.second);
  }
}

}  // namespace

void MeteorMatches::find(MeteorSentence hypothesis, MeteorSentence reference, std::span<const MeteorModule> modules,
                         const MeteorParaphrases& paraphrases) {
  const bool identical =
      std::ranges::equal(hypothesis, reference, {}, &MeteorWord::word, &MeteorWord::word) && !modules.empty();
  hypothesis = beginning(hypothesis);
  reference = beginning(reference);
  unsorted_.clear();
  hypothesis_coverage_.assign(hypothesis.size(), 0);
  reference_coverage_.assign(reference.size(), 0);
  const std::size_t used = identical ? 1 : modules.size();
  for (std::size_t module = 0; module < used; ++module) {
    switch (modules[module]) {
      case MeteorModule::exact:
        match_words(hypothesis, reference, module,
                    [](const MeteorWord& a, const MeteorWord& b) { return a.word == b.word; });
        break;
      case MeteorModule::stem:
        match_words(hypothesis, reference, module,
                    [](const MeteorWord& a, const MeteorWord& b) { return a.stem == b.stem && a.word != b.word; });
        break;
      case MeteorModule::synonym:
        match_words(hypothesis, reference, module,
                    [](const MeteorWord& a, const MeteorWord& b) { return a.word != b.word && a.is_synonym_of(b); });
        break;
      case MeteorModule::paraphrase:
        if (!paraphrases.empty()) match_paraphrases(hypothesis, reference, module, paraphrases);
        break;
    }
  }
  sort_by_reference();
}

template <class AreAlike>
void MeteorMatches::match_words(MeteorSentence hypothesis, MeteorSentence reference, std::size_t module,
                                AreAlike are_alike) {
  for (std::size_t j = 0; j < reference.size(); ++j) {
    for (std::size_t i = 0; i < hypothesis.size(); ++i) {
      if (are_alike(*hypothesis[i], *reference[j]))
        add({.reference_begin = static_cast<std::int32_t>(j),
             .hypothesis_begin = static_cast<std::int32_t>(i),
             .module = static_cast<std::int32_t>(module)});
    }
  }
}

void MeteorMatches::match_paraphrases(MeteorSentence hypothesis, MeteorSentence reference, std::size_t module,
                                      const MeteorParaphrases& paraphrases) {
  const Phrases hypothesis_phrases(hypothesis, paraphrases);
  const Phrases reference_phrases(reference, paraphrases);
  const auto add_pair = [&](const Occurrence& of_hypothesis, const Occurrence& of_reference) {
    add({.reference_begin = static_cast<std::int32_t>(of_reference.begin),
         .reference_words = static_cast<std::int32_t>(of_reference.words),
         .hypothesis_begin = static_cast<std::int32_t>(of_hypothesis.begin),
         .hypothesis_words = static_cast<std::int32_t>(of_hypothesis.words),
         .module = static_cast<std::int32_t>(module)});
  };
  pair_paraphrases(reference_phrases, hypothesis_phrases, paraphrases,
                   [&](const Occurrence& phrase, const Occurrence& other) { add_pair(other, phrase); });
  pair_paraphrases(hypothesis_phrases, reference_phrases, paraphrases, add_pair);
}

void MeteorMatches::add(const MeteorMatch& match) {
  if (unsorted_.size() == kMaxMatches) return;
  unsorted_.push_back(match);
  for (std::int32_t i = 0; i < match.hypothesis_words; ++i) ++hypothesis_coverage_[match.hypothesis_begin + i];
  for (std::int32_t j = 0; j < match.reference_words; ++j) ++reference_coverage_[match.reference_begin + j];
}

void MeteorMatches::sort_by_reference() {
  first_.assign(reference_coverage_.size() + 1, 0);
  for (const MeteorMatch& match : unsorted_) ++first_[match.reference_begin];
  std::size_t before = 0;
  for (std::size_t& first : first_) before += std::exchange(first, before);
  matches_.resize(unsorted_.size());
  for (const MeteorMatch& match : unsorted_) matches_[first_[match.reference_begin]++] = match;
  std::rotate(first_.rbegin(), first_.rbegin() + 1, first_.rend());
  first_.front() = 0;
}

bool MeteorMatches::is_alone(const MeteorMatch& match) const {
  const auto covered_once = [](const std::vector<std::uint32_t>& coverage, std::int32_t begin, std::int32_t words) {
    return std::all_of(coverage.begin() + begin, coverage.begin() + begin + words,
                       [](std::uint32_t count) { return count == 1; });
  };
  return covered_once(hypothesis_coverage_, match.hypothesis_begin, match.hypothesis_words) &&
         covered_once(reference_coverage_, match.reference_begin, match.reference_words);
}

}  // namespace capdiff
