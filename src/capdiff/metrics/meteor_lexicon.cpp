#include "capdiff/metrics/meteor_lexicon.h"

namespace capdiff {
namespace {

std::uint64_t bits_of(const MeteorSynonyms::Synsets& synsets) {
  std::uint64_t bits = 0;
  for (const std::uint32_t synset : synsets) bits |= std::uint64_t{1} << (synset * 0x9E3779B1u >> 26);
  return bits;
}

}  // namespace

bool MeteorWord::is_synonym_of(const MeteorWord& other) const {
  if ((synset_bits & other.synset_bits) == 0) return false;
  for (auto a = synsets.begin(), b = other.synsets.begin(); a != synsets.end() && b != other.synsets.end();) {
    if (*a == *b) return true;
    if (*a < *b) {
      ++a;
    } else {
      ++b;
    }
  }
  return false;
}

const MeteorWord& MeteorLexicon::operator[](std::string_view word) {
  if (const auto known = words_.find(word); known != words_.end()) return known->second;
  MeteorWord entry;
  entry.word = static_cast<std::uint32_t>(words_.size());
  entry.stem = stem_number(word);
  entry.paraphrase_word = resources_.paraphrases().word_number(word);
  entry.is_function_word = resources_.is_function_word(word);
  entry.synsets = resources_.synonyms().all_synsets(word);
  entry.synset_bits = bits_of(entry.synsets);
  return words_.emplace(word, std::move(entry)).first->second;
}

std::vector<const MeteorWord*> MeteorLexicon::operator[](const Tokens& words) {
  std::vector<const MeteorWord*> entries;
  entries.reserve(words.size());
  for (const std::string& word : words) entries.push_back(&(*this)[std::string_view(word)]);
  return entries;
}

std::uint32_t MeteorLexicon::stem_number(std::string_view word) {
  return stems_.try_emplace(stemmer_.stem(word), static_cast<std::uint32_t>(stems_.size())).first->second;
}

}  // namespace capdiff
