#include "capdiff/metrics/meteor_aligner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/metrics/meteor_data.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr MeteorModule kModules[] = {MeteorModule::exact, MeteorModule::stem, MeteorModule::synonym,
                                     MeteorModule::paraphrase};
constexpr const char* kParaphrases =
    "0.1\nlots of\nmany\n0.1\nmany\nlots of\n0.1\nin front of\nbefore\n0.1\ndog\nanimal with ears\n0.1\nthe\na\n"
    "0.1\nthe\na\n0.1\nthe dog\na hound\n";

std::vector<MeteorMatch> all(const MeteorMatches& matches) {
  std::vector<MeteorMatch> found;
  for (std::size_t j = 0; j < matches.reference_words(); ++j)
    found.insert(found.end(), matches.at(j).begin(), matches.at(j).end());
  return found;
}

/// The search as METEOR does it, without any thought of speed.
struct PlainPath {
  std::vector<const MeteorMatch*> matches;
  std::vector<bool> used_reference, used_hypothesis;
  std::int64_t covered = 0, chunks = 0, distance = 0;
  std::size_t next = 0;
  int end = -1;

  bool is_free(const MeteorMatch& match) const {
    for (int j = 0; j < match.reference_words; ++j)
      if (used_reference[match.reference_begin + j]) return false;
    for (int i = 0; i < match.hypothesis_words; ++i)
      if (used_hypothesis[match.hypothesis_begin + i]) return false;
    return true;
  }
  void use(const MeteorMatch& match) {
    for (int j = 0; j < match.reference_words; ++j) used_reference[match.reference_begin + j] = true;
    for (int i = 0; i < match.hypothesis_words; ++i) used_hypothesis[match.hypothesis_begin + i] = true;
    matches[match.reference_begin] = &match;
  }
  void take(const MeteorMatch& match) {
    const double weight = match.module == 0 ? 1.0 : 0.5;
    covered += static_cast<std::int64_t>(match.hypothesis_words * weight);
    covered += static_cast<std::int64_t>(match.reference_words * weight);
    if (end != -1 && end != match.hypothesis_begin) ++chunks;
    next = match.reference_begin + match.reference_words;
    end = match.hypothesis_begin + match.hypothesis_words;
  }
};

bool is_better(const PlainPath& a, const PlainPath& b) {
  if (a.covered != b.covered) return a.covered > b.covered;
  return a.chunks != b.chunks ? a.chunks < b.chunks : a.distance < b.distance;
}

std::vector<MeteorMatch> align_plainly(const MeteorMatches& matches, std::size_t beam) {
  const auto distance = [](const MeteorMatch& match) {
    return std::abs(match.reference_begin - match.hypothesis_begin);
  };
  std::vector<int> reference_coverage(matches.reference_words()), hypothesis_coverage(matches.hypothesis_words());
  for (const MeteorMatch& match : all(matches)) {
    for (int j = 0; j < match.reference_words; ++j) ++reference_coverage[match.reference_begin + j];
    for (int i = 0; i < match.hypothesis_words; ++i) ++hypothesis_coverage[match.hypothesis_begin + i];
  }
  PlainPath start;
  start.matches.resize(matches.reference_words());
  start.used_reference.resize(matches.reference_words());
  start.used_hypothesis.resize(matches.hypothesis_words());
  for (std::size_t j = 0; j < matches.reference_words(); ++j) {
    if (matches.at(j).size() != 1) continue;
    const MeteorMatch& match = matches.at(j).front();
    bool alone = true;
    for (int k = 0; k < match.reference_words; ++k) alone &= reference_coverage[match.reference_begin + k] == 1;
    for (int k = 0; k < match.hypothesis_words; ++k) alone &= hypothesis_coverage[match.hypothesis_begin + k] == 1;
    if (alone) start.use(match);
  }
  std::vector<PlainPath> paths{start};
  const auto sort = [&] { std::ranges::stable_sort(paths, is_better); };
  for (std::size_t at = 0; at < matches.reference_words(); ++at) {
    sort();
    if (paths.size() > beam) paths.resize(beam);
    std::vector<PlainPath> next;
    for (PlainPath path : paths) {
      if (path.used_reference[at]) {
        if (at >= path.next) {
          path.take(*path.matches[at]);
          path.distance += distance(*path.matches[at]);
        }
        next.push_back(path);
        continue;
      }
      for (const MeteorMatch& match : matches.at(at)) {
        if (!path.is_free(match)) continue;
        next.push_back(path);
        next.back().use(match);
        next.back().take(match);
        path.distance += distance(match);
      }
      if (path.end != -1) ++path.chunks;
      path.end = -1;
      ++path.next;
      next.push_back(path);
    }
    paths = std::move(next);
  }
  sort();
  if (paths.size() > beam) paths.resize(beam);
  for (PlainPath& path : paths) path.chunks += path.end != -1 ? 1 : 0;
  sort();
  std::vector<MeteorMatch> best;
  for (const MeteorMatch* match : paths.front().matches)
    if (match) best.push_back(*match);
  return best;
}

class MeteorAlignment : public ::testing::Test {
 protected:
  MeteorAlignment() {
    data_.write_paraphrases(kParaphrases);
    resources_ = data_.resources();
  }

  void find(const Tokens& hypothesis, const Tokens& reference) {
    matches_.find(lexicon()[hypothesis], lexicon()[reference], kModules, resources_->paraphrases());
  }
  std::vector<MeteorMatch> align(const Tokens& hypothesis, const Tokens& reference, std::size_t beam = 40) {
    find(hypothesis, reference);
    return MeteorAligner(beam).align(matches_, kModules);
  }
  MeteorLexicon& lexicon() {
    if (!lexicon_) lexicon_.emplace(*resources_);
    return *lexicon_;
  }

  test::MeteorData data_;
  std::shared_ptr<const MeteorResources> resources_;
  std::optional<MeteorLexicon> lexicon_;
  MeteorMatches matches_;
};

MeteorMatch word(int hypothesis, int reference, int module) {
  return {.reference_begin = reference, .hypothesis_begin = hypothesis, .module = module};
}

MeteorMatch phrase(int hypothesis, int hypothesis_words, int reference, int reference_words) {
  return {reference, reference_words, hypothesis, hypothesis_words, 3};
}

TEST_F(MeteorAlignment, MatchesAreByModule) {
  find({"huge", "walks", "dogs"}, {"large", "walked", "dog", "walks"});
  // "dogs" and "dog" have a stem and synsets in common, and so have the forms of "walk".
  EXPECT_THAT(all(matches_),
              ElementsAre(word(0, 0, 2), word(1, 1, 1), word(1, 1, 2), word(2, 2, 1), word(2, 2, 2), word(1, 3, 0)));
}

TEST_F(MeteorAlignment, ParaphrasesMatchInBothDirections) {
  find({"many", "otters"}, {"lots", "of", "otters"});
  // The table has this pair twice, once in each direction.
  EXPECT_THAT(all(matches_), ElementsAre(phrase(0, 1, 0, 2), phrase(0, 1, 0, 2), word(1, 2, 0)));
  find({"in", "front", "of"}, {"before"});
  EXPECT_THAT(all(matches_), ElementsAre(phrase(0, 3, 0, 1)));
  find({"before"}, {"in", "front", "of"});
  EXPECT_THAT(all(matches_), ElementsAre(phrase(0, 1, 0, 3)));
  find({"before"}, {"in", "front"});
  EXPECT_THAT(all(matches_), IsEmpty());
  // By the place in the reference, the table's order, and the place in the hypothesis.
  find({"a", "a", "hound"}, {"the", "dog"});
  EXPECT_THAT(all(matches_), ElementsAre(phrase(0, 1, 0, 1), phrase(1, 1, 0, 1), phrase(0, 1, 0, 1), phrase(1, 1, 0, 1),
                                         phrase(1, 2, 0, 2), word(2, 1, 2)));
}

TEST_F(MeteorAlignment, EqualSentencesMatchExactlyOnly) {
  find({"big", "dog"}, {"big", "dog"});
  EXPECT_THAT(all(matches_), ElementsAre(word(0, 0, 0), word(1, 1, 0)));
  find({"the", "a"}, {"a", "the"});
  EXPECT_THAT(all(matches_), ElementsAre(word(1, 0, 0), phrase(0, 1, 0, 1), phrase(0, 1, 0, 1), word(0, 1, 0),
                                         phrase(1, 1, 1, 1), phrase(1, 1, 1, 1)));
}

TEST_F(MeteorAlignment, OfEmptySentencesIsEmpty) {
  EXPECT_THAT(align({}, {"a"}), IsEmpty());
  EXPECT_THAT(align({"a"}, {}), IsEmpty());
  EXPECT_THAT(align({}, {}), IsEmpty());
}

TEST_F(MeteorAlignment, PrefersFewChunks) {
  // The second "the" of the hypothesis continues a chunk.
  EXPECT_THAT(align({"the", "otter", "saw", "the", "pond"}, {"near", "the", "pond"}),
              ElementsAre(word(3, 1, 0), word(4, 2, 0)));
}

TEST_F(MeteorAlignment, TakesPhrases) {
  EXPECT_THAT(align({"otters", "before", "many", "dogs"}, {"otters", "in", "front", "of", "lots", "of", "dogs"}),
              ElementsAre(word(0, 0, 0), phrase(1, 1, 1, 3), phrase(2, 1, 4, 2), word(3, 6, 0)));
}

TEST_F(MeteorAlignment, IsThatOfThePlainSearch) {
  const Tokens vocabulary{"the",  "a",    "dog", "hound", "dogs",   "walk", "walks", "stroll", "big",  "large",
                          "huge", "lots", "of",  "many",  "before", "in",   "front", "animal", "with", "ears"};
  std::mt19937 random(7);
  const auto sentence = [&] {
    const std::size_t words = 2 + random() % (vocabulary.size() - 1);
    Tokens tokens;
    for (unsigned i = random() % 24; i > 0; --i) tokens.push_back(vocabulary[random() % words]);
    return tokens;
  };
  std::size_t chosen = 0;
  for (int round = 0; round < 1500; ++round) {
    const std::size_t beam = round % 3 == 0 ? 1 + random() % 4 : 40;
    const auto found = align(sentence(), sentence(), beam);
    ASSERT_EQ(found, align_plainly(matches_, beam)) << "round " << round;
    chosen += found.size();
  }
  EXPECT_GT(chosen, 1000U);
}

TEST_F(MeteorAlignment, WideSentencesPruneToTheSamePaths) {
  // More than 64 times the beam of extensions at one word, and used words beyond 64.
  Tokens hypothesis(150, "the"), reference(9, "the");
  hypothesis.push_back("dog");
  hypothesis.insert(hypothesis.end(), 20, "a");
  reference.push_back("dog");
  reference.push_back("many");
  for (const std::size_t beam : {1, 2, 40}) {
    const auto found = align(hypothesis, reference, beam);
    EXPECT_EQ(found, align_plainly(matches_, beam)) << beam;
  }
}

TEST_F(MeteorAlignment, LooksAtTheBeginningOfLongSentences) {
  Tokens hypothesis(kMeteorAlignedWords - 1, "otter");
  hypothesis.insert(hypothesis.end(), {"pond", "reed"});
  find(hypothesis, {"reed", "pond"});
  EXPECT_THAT(all(matches_), ElementsAre(word(kMeteorAlignedWords - 1, 1, 0)));
}

}  // namespace
}  // namespace capdiff
