#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "capdiff/base/string_map.h"
#include "capdiff/metrics/meteor_normalizer.h"
#include "capdiff/metrics/meteor_paraphrases.h"
#include "capdiff/metrics/meteor_synonyms.h"

namespace capdiff {

/// What METEOR knows about English. Safe for many threads at once.
class MeteorResources {
 public:
  /// A data folder of METEOR 1.5: function/english.words, nonbreaking/english.prefixes, synonym/english.synsets and
  /// english.exceptions, and paraphrase-en.gz where it is there. Throws `Error` that names the file that is missing or
  /// wrong.
  static std::shared_ptr<const MeteorResources> from_folder(const std::filesystem::path& folder);
  /// WordNet's dictionary folder, with our own function words and abbreviations (meteor_english.h). There are no
  /// paraphrases.
  static std::shared_ptr<const MeteorResources> from_wordnet(const std::filesystem::path& folder);
  /// WordNet where Debian's package wordnet-base puts it. Throws `Error(not_found)` that says what to install.
  static std::shared_ptr<const MeteorResources> from_debian();

  /// "meteor-data" or "wordnet"; scores with different resources cannot be compared.
  const std::string& name() const { return name_; }
  const MeteorNormalizer& normalizer() const { return normalizer_; }
  bool is_function_word(std::string_view word) const { return function_words_.contains(word); }
  const MeteorSynonyms& synonyms() const { return synonyms_; }
  const MeteorParaphrases& paraphrases() const { return paraphrases_; }

 private:
  MeteorResources(std::string name, NonbreakingPrefixes prefixes, MeteorSynonyms synonyms)
      : name_(std::move(name)), normalizer_(std::move(prefixes)), synonyms_(std::move(synonyms)) {}

  std::string name_;
  MeteorNormalizer normalizer_;
  MeteorSynonyms synonyms_;
  MeteorParaphrases paraphrases_;
  StringSet function_words_;
};

}  // namespace capdiff
