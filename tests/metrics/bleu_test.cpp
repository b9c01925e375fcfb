#include "capdiff/metrics/bleu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "capdiff/base/error.h"
#include "tests/metrics/metric_goldens.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

using test::words;

double add_one(std::string_view candidate, std::string_view reference) {
  return sentence_bleu(words(candidate), std::vector<Tokens>{words(reference)});
}

TEST(Bleu, MatchesAreClippedAndSummedOverImages) {
  const std::vector<ScoredImage> images{{"1", words("the the the dog"), {words("the dog runs away")}},
                                        {"2", words("a cat"), {words("a cat")}}};
  const auto results = bleu(images);
  EXPECT_NEAR(results[0].per_image[0], 2.0 / 4, 1e-8);
  EXPECT_NEAR(results[0].per_image[1], 1.0, 1e-8);
  EXPECT_NEAR(results[0].corpus, 4.0 / 6, 1e-8);
  EXPECT_NEAR(results[1].corpus, std::sqrt(4.0 / 6 * 2.0 / 4), 1e-8);
}

TEST(Bleu, TheClosestReferenceLengthDecidesTheBrevityPenalty) {
  const auto tie = bleu(std::vector<ScoredImage>{{"1", words("a b c d"), {words("a b c d e"), words("a b c")}}});
  EXPECT_NEAR(tie[0].corpus, 1.0, 1e-8);
  const auto brief = bleu(std::vector<ScoredImage>{{"1", words("a b"), {words("a b c"), words("a b c d e")}}});
  EXPECT_NEAR(brief[0].corpus, std::exp(1 - 3.0 / 2), 1e-8);
}

TEST(Bleu, NeedsImagesAndReferences) {
  EXPECT_THROW(bleu({}), Error);
  EXPECT_THROW(bleu(std::vector<ScoredImage>{{"7", words("a"), {}}}), Error);
}

TEST(SentenceBleu, AddOneByHand) {
  EXPECT_DOUBLE_EQ(add_one("cat", "cat"), 1.0);
  EXPECT_DOUBLE_EQ(add_one("cat", "dog"), 0.0);
  EXPECT_DOUBLE_EQ(add_one("", "a cat"), 0.0);
  EXPECT_DOUBLE_EQ(add_one("a cat", ""), 0.0);
  EXPECT_DOUBLE_EQ(add_one("", ""), 0.0);
  // p = 1/4, 1/4, 1/3, 1/2
  EXPECT_NEAR(add_one("a a a a", "a man"), std::pow(1.0 / 96, 0.25), 1e-12);
  // p = 1, brevity exp(1 - 4/2)
  EXPECT_NEAR(add_one("a man", "a man on foot"), std::exp(-1.0), 1e-12);
  EXPECT_THROW(sentence_bleu(words("a"), {}), Error);
}

TEST(SentenceBleu, Method4ByHand) {
  // p = 2/3, 1/2, and for the third order ln(3) / (5 · 2) of one n-gram, for the fourth ln(3) / (5 · 4) of none.
  const double expected = std::pow(2.0 / 3 * 1.0 / 2 * std::log(3) / 10 * std::log(3) / 20, 0.25);
  EXPECT_NEAR(sentence_bleu(words("a big dog"), std::vector<Tokens>{words("a big cat")}, BleuSmoothing::method4),
              expected, 1e-12);
}

TEST(SentenceBleu, AddOneEqualsTheReference) {
  CAPDIFF_SHARED_OR_SKIP(file, "goldens/ladic_tiny/golden.json");
  const auto golden = test::read_json(file);
  ASSERT_FALSE(golden.at("sentence_bleu").empty());
  for (const auto& expected : golden.at("sentence_bleu")) {
    EXPECT_NEAR(add_one(expected.at("hyp").get<std::string>(), expected.at("ref").get<std::string>()),
                expected.at("value").get<double>(), 1e-12);
  }
  for (const char* name : {"mbr_text_example", "paper.mbr"}) {
    const auto& example = golden.at(name);
    const auto captions = test::cut_all(example.at("captions"));
    for (std::size_t i = 0; i < captions.size(); ++i) {
      for (std::size_t j = 0; j < captions.size(); ++j) {
        EXPECT_NEAR(sentence_bleu(captions[i], std::span(&captions[j], 1)),
                    example.at("utility").at(i).at(j).get<double>(), 1e-12);
      }
    }
  }
}

TEST(SentenceBleu, OtherSmoothingByHand) {
  const std::vector<Tokens> reference{words("a big cat")};
  // p = 2/3, 1/2, then 0.1 of one n-gram and of none, or the smallest number.
  EXPECT_NEAR(sentence_bleu(words("a big dog"), reference, BleuSmoothing::method1),
              std::pow(2.0 / 3 * 1.0 / 2 * 0.1 * 0.1, 0.25), 1e-12);
  const double tiny = sentence_bleu(words("a big dog"), reference, BleuSmoothing::none);
  EXPECT_NEAR(tiny / std::pow(1.0 / 3, 0.25), std::sqrt(std::numeric_limits<double>::min()), 1e-165);
}

TEST(SentenceBleu, EqualsTheReference) {
  CAPDIFF_SHARED_OR_SKIP(file, "goldens/metrics/sentence_bleu_mbr.json");
  const auto golden = test::read_json(file);
  ASSERT_FALSE(golden.at("multi_reference").empty());
  for (const auto& expected : golden.at("multi_reference")) {
    for (const auto& [key, smoothing] : {std::pair<const char*, BleuSmoothing>{"bleu4_method4", BleuSmoothing::method4},
                                         {"bleu4_method1", BleuSmoothing::method1},
                                         {"bleu4_unsmoothed", BleuSmoothing::none}}) {
      const double value = expected.at(key).get<double>();
      EXPECT_NEAR(
          sentence_bleu(words(expected.at("hyp").get<std::string>()), test::cut_all(expected.at("refs")), smoothing),
          value, test::kMetricTolerance * std::min(1.0, value))
          << key << " of " << expected.dump();
    }
  }
  for (const auto& example : golden.at("mbr")) {
    const auto captions = test::cut_all(example.at("candidates"));
    for (std::size_t i = 0; i < captions.size(); ++i) {
      for (std::size_t j = 0; j < captions.size(); ++j) {
        EXPECT_NEAR(sentence_bleu(captions[i], std::span(&captions[j], 1), BleuSmoothing::method4),
                    example.at("bleu_hyp_i_ref_j").at(i).at(j).get<double>(), test::kMetricTolerance)
            << example.dump();
      }
    }
  }
}

}  // namespace
}  // namespace capdiff
