#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/base/string_map.h"

namespace capdiff {

/// Which words can mean the same: WordNet's synsets, and the base forms through which inflected words share them.
class MeteorSynonyms {
 public:
  /// Sorted numbers of synsets, each once.
  using Synsets = std::vector<std::uint32_t>;

  /// METEOR's own files, derived from WordNet 3.0. `english.synsets` has two lines a word, the word and the numbers of
  /// its synsets; `english.exceptions` two lines a base form, the base form and its irregular inflections. Errors name
  /// the file and the line.
  static MeteorSynonyms from_meteor_files(const std::filesystem::path& synsets,
                                          const std::filesystem::path& exceptions);
  /// WordNet's index.{noun,verb,adj,adv} and {noun,verb,adj,adv}.exc. Synsets are numbered by their offset in the data
  /// file, plus 100,000,000 for verbs, 200,000,000 for adjectives and 300,000,000 for adverbs.
  static MeteorSynonyms from_wordnet(const std::filesystem::path& folder);

  /// Synsets that list the word as it stands.
  Synsets synsets(std::string_view word) const;
  /// Synsets of the words that `word` is an inflection of: those the exceptions name, otherwise the first word of the
  /// dictionary that one of WordNet's 20 suffix rules makes of it. Words in -ss and of one or two letters are their own
  /// base forms.
  Synsets base_synsets(std::string_view word) const;
  /// Both together. Two words are synonyms where these have a synset in common.
  Synsets all_synsets(std::string_view word) const;

 private:
  void add_to(Synsets& synsets, std::string_view word) const;
  void add_bases_to(Synsets& synsets, std::string_view word) const;
  std::string base_form(std::string_view word) const;

  StringMap<Synsets> synsets_;
  StringMap<std::vector<std::string>> bases_;  // of irregular inflections
};

}  // namespace capdiff
