#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/metrics/meteor_lexicon.h"

namespace capdiff {

/// How METEOR finds words that correspond.
enum class MeteorModule {
  exact,       ///< the same word
  stem,        ///< different words of one stem
  synonym,     ///< different words with a synset in common
  paraphrase,  ///< phrases that the paraphrase table pairs, in either direction
};

/// Words of a reference that correspond to words of a hypothesis.
struct MeteorMatch {
  std::int32_t reference_begin = 0;
  std::int32_t reference_words = 1;
  std::int32_t hypothesis_begin = 0;
  std::int32_t hypothesis_words = 1;
  std::int32_t module = 0;  ///< its place among the modules in use

  bool operator==(const MeteorMatch&) const = default;
};

/// The words of a sentence; longer sentences are matched as far as `kMeteorAlignedWords`.
using MeteorSentence = std::span<const MeteorWord* const>;
inline constexpr std::size_t kMeteorAlignedWords = 1024;

/// All matches of two sentences. There may be several of the same words, by different modules.
class MeteorMatches {
 public:
  /// Finds what each of the modules finds, in their order. Of two sentences that are the same word by word, only the
  /// first module is asked.
  void find(MeteorSentence hypothesis, MeteorSentence reference, std::span<const MeteorModule> modules,
            const MeteorParaphrases& paraphrases);

  /// Those that begin at a word of the reference: by module, then in the order in which the module found them.
  std::span<const MeteorMatch> at(std::size_t reference_begin) const {
    return std::span(matches_).subspan(first_[reference_begin], first_[reference_begin + 1] - first_[reference_begin]);
  }
  /// Whether no other match shares a word with this one.
  bool is_alone(const MeteorMatch& match) const;
  std::size_t hypothesis_words() const { return hypothesis_coverage_.size(); }
  std::size_t reference_words() const { return reference_coverage_.size(); }

 private:
  template <class AreAlike>
  void match_words(MeteorSentence hypothesis, MeteorSentence reference, std::size_t module, AreAlike are_alike);
  void match_paraphrases(MeteorSentence hypothesis, MeteorSentence reference, std::size_t module,
                         const MeteorParaphrases& paraphrases);
  void add(const MeteorMatch& match);
  void sort_by_reference();

  std::vector<MeteorMatch> matches_;
  std::vector<MeteorMatch> unsorted_;
  std::vector<std::size_t> first_;                  // for each word of the reference, and one past the last
  std::vector<std::uint32_t> hypothesis_coverage_;  // number of matches over each word
  std::vector<std::uint32_t> reference_coverage_;
};

}  // namespace capdiff
