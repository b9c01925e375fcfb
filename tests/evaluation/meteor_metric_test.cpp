#include "capdiff/evaluation/meteor_metric.h"

#include <gtest/gtest.h>

#include "capdiff/metrics/meteor.h"
#include "tests/metrics/meteor_data.h"

namespace capdiff::test {
namespace {

const std::vector<EvaluatedCaption> kCaptions{
    {"1", "a big dog", {"the large dog", "a hound on the grass"}},
    {"2", "the sofa", {"the sofa"}},  // perfect: its chunk does not count in a corpus
    {"3", "person on the grass", {"a man went", "the person is on grass"}}};

TEST(MeteorMetric, SumsWhatMeteorSums) {
  const MeteorData data;
  const auto metric = make_meteor_metric(data.path());
  const WhiteSpaceTokenizer tokenizer;
  const auto words = tokenize_images(kCaptions, tokenizer);
  const MetricScores scores = metric->score({kCaptions, words, tokenizer});
  const Meteor reference(data.resources());
  const MetricResult expected = meteor(words, reference);
  ASSERT_EQ(scores.columns.size(), 1u);
  EXPECT_EQ(scores.columns[0].name, "METEOR");
  EXPECT_EQ(scores.columns[0].corpus, expected.corpus);
  EXPECT_EQ(scores.columns[0].per_image, expected.per_image);
  // Groups and resamples are corpora of their own.
  const std::vector<std::uint32_t> some{2, 0, 2};
  const std::vector<ScoredImage> drawn{words[2], words[0], words[2]};
  EXPECT_NEAR(corpus_over(scores, some).at(0), meteor(drawn, reference).corpus, 1e-12);
  EXPECT_EQ(metric->signature(), reference.signature());
}

}  // namespace
}  // namespace capdiff::test
