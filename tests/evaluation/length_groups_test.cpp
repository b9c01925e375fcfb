#include "capdiff/evaluation/length_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/metrics/bleu.h"

namespace capdiff {
namespace {

ScoredImage image_of(std::size_t candidate, std::vector<std::size_t> references) {
  ScoredImage image{"", Tokens(candidate, "a"), {}};
  for (const std::size_t length : references) image.references.push_back(Tokens(length, "a"));
  return image;
}

std::vector<std::string> labels(const std::vector<LengthGroup>& groups) {
  std::vector<std::string> labels;
  for (const LengthGroup& group : groups) labels.push_back(group.label());
  return labels;
}

TEST(LengthGroups, SingleWordsForCaptions) {
  std::vector<ScoredImage> images(100, image_of(9, {9, 10}));
  images.push_back(image_of(2, {2}));
  images.push_back(image_of(11, {10, 12}));
  images.push_back(image_of(90, {90}));
  const auto groups = group_by_length(images, {});
  EXPECT_THAT(labels(groups), testing::ElementsAre("< 9", "9 - 10", "11 - 12", ">= 17"));
  EXPECT_EQ(groups[0].images, 1u);
  EXPECT_EQ(groups[1].images, 100u);
}

TEST(LengthGroups, WiderOnesForParagraphs) {
  std::vector<ScoredImage> images;
  for (std::size_t length = 40; length < 140; ++length) images.push_back(image_of(5, {length}));
  const auto groups = group_by_length(images, {});
  EXPECT_EQ(groups.size(), 9u);
  EXPECT_EQ(groups[1].below - groups[1].from, 12.0);
}

TEST(LengthGroups, EachIsACorpusOfItsOwn) {
  const std::vector<EvaluatedCaption> captions{
      {"1", "a b c d", {"a b c d"}}, {"2", "a b x y", {"a b c d"}}, {"3", "a", {"a b c d e f"}}};
  const auto words = tokenize_images(captions, WhiteSpaceTokenizer());
  const std::vector<MetricScores> scores{make_bleu_metric()->score({captions, words, WhiteSpaceTokenizer()}),
                                         make_rouge_l_metric()->score({captions, words, WhiteSpaceTokenizer()})};
  const auto groups = group_by_length(words, scores);
  ASSERT_EQ(groups.size(), 2u);
  const auto expected = bleu(std::span(words).first(2));
  EXPECT_EQ(groups[0].values[1].first, "BLEU-2");
  EXPECT_NEAR(groups[0].values[1].second, expected[1].corpus, 1e-12);
  EXPECT_EQ(groups[0].values[4].first, "ROUGE-L");
  EXPECT_NEAR(groups[0].values[4].second, (1.0 + 0.5) / 2, 1e-12);
}

}  // namespace
}  // namespace capdiff
