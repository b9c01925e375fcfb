#include "capdiff/metrics/meteor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/metrics/meteor_data.h"
#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kExact = 1e-12;

const std::shared_ptr<const MeteorResources>& resources() {
  static const test::MeteorData data;
  static const auto resources = data.resources();
  return resources;
}

MeteorScore score(const std::string& hypothesis, const std::vector<std::string>& references,
                  const MeteorOptions& options = {}) {
  return Meteor(resources(), options).score(hypothesis, references);
}

TEST(Meteor, PerfectMatchesScoreOne) {
  const MeteorScore found = score("The otter is on the sofa.", {"the otter is on the sofa ."});
  EXPECT_EQ(found.values.score, 1.0);
  EXPECT_EQ(found.values.penalty, 0.0);
  EXPECT_TRUE(found.statistics.is_perfect());
  EXPECT_EQ(score("Otter", {"otter"}).values.score, 1.0);
}

TEST(Meteor, ScoreIsTheFormulaOfThePaper) {
  // "otter" and "the" exactly, "walks" by stem, "sofa" by synonym.
  const MeteorScore found = score("the otter walks on a sofa", {"her big otter walked to the couch"});
  EXPECT_THAT(found.alignment, ElementsAre(MeteorMatch{.reference_begin = 2, .hypothesis_begin = 1, .module = 0},
                                           MeteorMatch{.reference_begin = 3, .hypothesis_begin = 2, .module = 1},
                                           MeteorMatch{.reference_begin = 5, .hypothesis_begin = 0, .module = 0},
                                           MeteorMatch{.reference_begin = 6, .hypothesis_begin = 5, .module = 2}));
  const MeteorStatistics& statistics = found.statistics;
  EXPECT_EQ(statistics.hypothesis_words, 6);
  EXPECT_EQ(statistics.hypothesis_function_words, 3);
  EXPECT_EQ(statistics.reference_words, 7);
  EXPECT_EQ(statistics.reference_function_words, 1);
  EXPECT_EQ(statistics.modules[0].hypothesis_function, 1);
  EXPECT_EQ(statistics.modules[0].reference_content, 1);
  EXPECT_EQ(statistics.modules[1].hypothesis_content, 1);
  EXPECT_EQ(statistics.modules[2].reference_content, 1);
  EXPECT_EQ(statistics.chunks, 3);
  const double matched = 0.25 + 0.75 + 0.6 * 0.75 + 0.8 * 0.75;
  const double precision = matched / (3 * 0.75 + 3 * 0.25);
  const double recall = matched / (6 * 0.75 + 1 * 0.25);
  const double f_mean = 1 / (0.15 / precision + 0.85 / recall);
  EXPECT_NEAR(found.values.precision, precision, kExact);
  EXPECT_NEAR(found.values.recall, recall, kExact);
  EXPECT_NEAR(found.values.f_mean, f_mean, kExact);
  EXPECT_NEAR(found.values.penalty, 0.6 * std::pow(3.0 / 4.0, 0.2), kExact);
  EXPECT_NEAR(found.values.score, f_mean * (1 - 0.6 * std::pow(3.0 / 4.0, 0.2)), kExact);
}

TEST(Meteor, ParaphrasesCountTheirWordsOnBothSides) {
  const test::MeteorData data;
  data.write_paraphrases("0.1\nlots of\nmany\n");
  const std::vector<std::string> references{"lots of otters"};
  const MeteorScore found = Meteor(data.resources()).score("many otters", references);
  EXPECT_EQ(found.statistics.modules[3].hypothesis_content, 1);
  EXPECT_EQ(found.statistics.modules[3].reference_content, 1);
  EXPECT_EQ(found.statistics.modules[3].reference_function, 1);
  EXPECT_EQ(found.statistics.chunks, 1);
  // Every word is matched in one chunk, though not at full weight.
  EXPECT_EQ(found.values.penalty, 0.0);
  EXPECT_NEAR(found.values.precision, (0.75 + 0.6 * 0.75) / 1.5, kExact);
  EXPECT_NEAR(found.values.recall, (0.75 + 0.6 * (0.75 + 0.25)) / 1.75, kExact);
  EXPECT_LT(score("many otters", references).values.score, found.values.score);
  EXPECT_EQ(Meteor(data.resources()).signature(),
            "meteor-1.5-wo-en-norm-0.85_0.2_0.6_0.75-ex_st_sy_pa-1.0_0.6_0.8_0.6-meteor-data");
}

TEST(Meteor, TheFirstOfTheBestReferencesCounts) {
  const MeteorScore found = score("an otter swims", {"no", "an otter", "an Otter", "an"});
  EXPECT_EQ(found.best_reference, 1U);
  EXPECT_EQ(found.reference_scores.size(), 4U);
  EXPECT_EQ(found.reference_scores[0], 0.0);
  EXPECT_EQ(found.reference_scores[1], found.values.score);
  EXPECT_EQ(found.reference_scores[2], found.values.score);
  EXPECT_LT(found.reference_scores[3], found.values.score);
  EXPECT_EQ(score("otter", {"no", "none"}).best_reference, 0U);
}

TEST(Meteor, WithoutWordsNothingScores) {
  for (const char* empty : {"", "  ", "\t\n"}) {
    EXPECT_EQ(score(empty, {"an otter"}).values.score, 0.0);
    EXPECT_EQ(score("an otter", {empty}).values.score, 0.0);
    EXPECT_EQ(score(empty, {empty}).values.score, 0.0);
  }
  EXPECT_EQ(score("an otter", {"", "an otter"}).best_reference, 1U);
  test::expect_error(ErrorCode::invalid_input, "reference", [] { score("an otter", {}); });
  test::expect_error(ErrorCode::invalid_input, "image 7 has no reference", [] {
    const std::vector<ScoredImage> images{{"7", {"otter"}, {}}};
    meteor(images, Meteor(resources()));
  });
}

TEST(Meteor, BytesThatAreNotUtf8AreSymbols) {
  EXPECT_EQ(score("an \xC3 otter", {"an \xFE otter"}).values.score, 1.0);
  EXPECT_EQ(score("\xF0\x9F", {"otter"}).statistics.hypothesis_words, 2);
}

TEST(Meteor, OptionsAreChecked) {
  const auto refuse = [](const std::string& part, const std::function<void(MeteorOptions&)>& change) {
    MeteorOptions options;
    change(options);
    test::expect_error(ErrorCode::usage, part, [&] { Meteor(resources(), options); });
  };
  refuse("alpha", [](MeteorOptions& options) { options.alpha = 1.5; });
  refuse("beta", [](MeteorOptions& options) { options.beta = INFINITY; });
  refuse("gamma", [](MeteorOptions& options) { options.gamma = NAN; });
  refuse("delta", [](MeteorOptions& options) { options.delta = -0.1; });
  refuse("beam", [](MeteorOptions& options) { options.beam = 0; });
  refuse("first module", [](MeteorOptions& options) { options.modules.erase(options.modules.begin()); });
  refuse("first module", [](MeteorOptions& options) { options.modules.clear(); });
  refuse("twice", [](MeteorOptions& options) { options.modules[2].module = MeteorModule::stem; });
  refuse("weight", [](MeteorOptions& options) { options.modules[1].weight = NAN; });
}

TEST(Meteor, SignsWithItsConfiguration) {
  EXPECT_EQ(Meteor(resources()).signature(),
            "meteor-1.5-wo-en-norm-0.85_0.2_0.6_0.75-ex_st_sy-1.0_0.6_0.8-meteor-data");
  MeteorOptions options;
  options.modules.resize(1);
  options.punctuation = MeteorPunctuation::remove;
  options.alpha = 1;
  EXPECT_EQ(Meteor(resources(), options).signature(),
            "meteor-1.5-wo-en-norm_nopunct-1.0_0.2_0.6_0.75-ex-1.0-meteor-data");
}

TEST(Meteor, OptionsChangeWhatMatches) {
  MeteorOptions exact;
  exact.modules.resize(1);
  EXPECT_EQ(score("huge dogs", {"large dog"}, exact).values.score, 0.0);
  EXPECT_GT(score("huge dogs", {"large dog"}).values.score, 0.0);
  MeteorOptions without;
  without.punctuation = MeteorPunctuation::remove;
  EXPECT_LT(score("an otter!", {"an otter."}).values.score, 1.0);
  EXPECT_EQ(score("an otter!", {"an otter."}, without).values.score, 1.0);
}

/// Sentences of a few words, many of them alike.
std::vector<ScoredImage> random_images(std::size_t count) {
  const Tokens vocabulary{"a", "the", "dog", "dogs", "big", "huge", "on", "sofa", "couch", "otter", "walks", "strolls"};
  std::mt19937 random(3);
  const auto sentence = [&] {
    Tokens tokens;
    for (unsigned i = random() % 14; i > 0; --i) tokens.push_back(vocabulary[random() % vocabulary.size()]);
    return tokens;
  };
  std::vector<ScoredImage> images;
  for (std::size_t i = 0; i < count; ++i) images.push_back({std::to_string(i), sentence(), {sentence(), sentence()}});
  return images;
}

TEST(MeteorCorpus, DoesNotDependOnThreads) {
  const auto images = random_images(101);
  const Meteor scorer(resources());
  const MetricResult one = meteor(images, scorer, 1);
  ASSERT_EQ(one.per_image.size(), images.size());
  for (const int threads : {2, 3, 200}) {
    const MetricResult other = meteor(images, scorer, threads);
    EXPECT_EQ(other.corpus, one.corpus);
    EXPECT_EQ(other.per_image, one.per_image);
  }
  // Nor on what else is scored.
  for (std::size_t i = 0; i < images.size(); i += 10)
    EXPECT_EQ(meteor(std::span(images).subspan(i, 1), scorer).per_image.at(0), one.per_image[i]);
}

TEST(MeteorCorpus, ScoresTheSumOfTheStatistics) {
  const std::vector<ScoredImage> images{{"1", {"an", "otter"}, {{"an", "otter"}}},
                                        {"2", {"a", "big", "dog"}, {{"a", "dog"}, {"no"}}},
                                        {"3", {}, {{"a", "dog"}}}};
  const Meteor scorer(resources());
  const MetricResult result = meteor(images, scorer);
  EXPECT_THAT(
      result.per_image,
      ElementsAre(1.0, DoubleNear(scorer.score("a big dog", std::vector<std::string>{"a dog"}).values.score, kExact),
                  0.0));
  // 7 function words of 15 in all; the chunk of the perfect pair does not count.
  const double precision = (2 * 0.75 + 0.25 + 0.75) / (2 * 0.75 + 0.25 + 2 * 0.75);
  const double recall = (2 * 0.75 + 0.25 + 0.75) / (2 * 0.75 + 2 * (0.25 + 0.75));
  const double f_mean = 1 / (0.15 / precision + 0.85 / recall);
  EXPECT_NEAR(result.corpus, f_mean * (1 - 0.6 * std::pow(2.0 / 4.0, 0.2)), kExact);
}

TEST(MeteorCorpus, JoinsTokensBeforeItNormalises) {
  const std::vector<ScoredImage> images{{"1", {"half-eaten", "U.S.", "it's"}, {{"half", "eaten", "us", "it's"}}}};
  EXPECT_EQ(meteor(images, Meteor(resources())).corpus, 1.0);
}

TEST(MeteorCorpus, TakesTextsOfAnyLength) {
  const auto repeated = [](const std::string& word, std::size_t size) {
    std::string text;
    while (text.size() < size) text += word;
    return text;
  };
  constexpr std::size_t kLong = std::size_t{10} << 20;
  EXPECT_EQ(score(repeated("dog ", kLong), {"big dogs"}).statistics.hypothesis_words,
            static_cast<std::int64_t>(kLong / 4));
  for (const char* word : {"y", "otter.. ", "dogs dog hound "}) {
    const std::string text = repeated(word, kLong / 40);
    const MeteorScore found = score(text, {"a big dog walks . y", text});
    EXPECT_EQ(found.best_reference, 1U);
    EXPECT_LE(found.statistics.hypothesis_matches(), 1024);
  }
}

}  // namespace
}  // namespace capdiff
