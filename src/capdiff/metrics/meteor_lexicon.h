#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "capdiff/base/string_map.h"
#include "capdiff/metrics/meteor_resources.h"
#include "capdiff/metrics/meteor_stemmer.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// A word as METEOR's matchers compare it. Numbers are those of one lexicon.
struct MeteorWord {
  std::uint32_t word = 0;
  std::uint32_t stem = 0;
  std::uint32_t paraphrase_word = 0;  ///< its number in the paraphrase table, 0 where it is not there
  bool is_function_word = false;
  MeteorSynonyms::Synsets synsets;
  std::uint64_t synset_bits = 0;  ///< one bit for each synset; words without a bit in common are no synonyms

  bool is_synonym_of(const MeteorWord& other) const;
};

/// Looks each word up once, however often it is met. For one thread.
class MeteorLexicon {
 public:
  explicit MeteorLexicon(const MeteorResources& resources) : resources_(resources) {}

  /// Valid as long as the lexicon.
  const MeteorWord& operator[](std::string_view word);
  std::vector<const MeteorWord*> operator[](const Tokens& words);

 private:
  std::uint32_t stem_number(std::string_view word);

  const MeteorResources& resources_;
  MeteorStemmer stemmer_;
  StringMap<MeteorWord> words_;
  StringMap<std::uint32_t> stems_;
};

}  // namespace capdiff
