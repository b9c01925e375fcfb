#include "capdiff/metrics/diversity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"
#include "tests/metrics/metric_goldens.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

using test::words;

TEST(Diversity, CountsDistinctNgramsPerWord) {
  const std::vector<Tokens> captions{words("a dog runs"), words("a dog"), words("a dog runs")};
  const auto result = diversity(captions);
  EXPECT_EQ(result.captions, 3);
  EXPECT_EQ(result.distinct_captions, 2);
  EXPECT_EQ(result.words, 8);
  EXPECT_EQ(result.distinct_words, 3);
  EXPECT_DOUBLE_EQ(result.dist[0], 3.0 / 8);
  EXPECT_DOUBLE_EQ(result.dist[1], 2.0 / 8);
  EXPECT_DOUBLE_EQ(result.dist[2], 1.0 / 8);
}

TEST(Diversity, NothingIsNotDiverse) {
  EXPECT_EQ(diversity({}).captions, 0);
  const auto empty = diversity(std::vector<Tokens>{{}, {}});
  EXPECT_EQ(empty.distinct_captions, 1);
  EXPECT_DOUBLE_EQ(empty.dist[0], 0.0);
}

TEST(Diversity, EqualsTheReference) {
  CAPDIFF_SHARED_OR_SKIP(file, "goldens/prefix_tiny/diversity.json");
  const auto golden = test::read_json(file);
  ASSERT_FALSE(golden.at("distinct").empty());
  for (const auto& expected : golden.at("distinct")) {
    const auto result = diversity(test::cut_all(expected.at("captions")));
    EXPECT_EQ(result.words, expected.at("total_words").get<std::int64_t>());
    EXPECT_EQ(result.distinct_words, expected.at("distinct_words").get<std::int64_t>());
    for (std::size_t n = 0; n < 3; ++n) {
      EXPECT_NEAR(result.dist[n], expected.at("dist").at(n).get<double>(), 1e-12) << expected.at("name");
    }
    EXPECT_NEAR(result.vocabulary_usage(expected.at("vocab_size")), expected.at("vocab_usage").get<double>(), 1e-12);
  }
}

TEST(Diversity, LengthVocabularyAndNovelty) {
  const std::vector<Tokens> captions{words("a dog runs"), words("a dog"), words("a dog")};
  EXPECT_DOUBLE_EQ(diversity(captions).mean_length(), 7.0 / 3);
  EXPECT_DOUBLE_EQ(diversity({}).mean_length(), 0.0);
  EXPECT_DOUBLE_EQ(diversity(captions).vocabulary_usage(12), 3.0 / 12);
  EXPECT_THROW(diversity(captions).vocabulary_usage(0), Error);
  EXPECT_DOUBLE_EQ(novel_share(captions, std::vector<Tokens>{words("a dog"), words("dog a")}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(novel_share(captions, {}), 1.0);
  EXPECT_THROW(novel_share({}, captions), Error);
}

TEST(Diversity, SelfBleuOfCandidates) {
  const std::vector<std::vector<Tokens>> images{{words("a dog runs on grass"), words("a dog runs on grass")},
                                                {words("a b c d"), words("e f g h"), words("i j k l")},
                                                {words("a dog")},
                                                {}};
  const auto result = self_bleu(images);
  EXPECT_NEAR(result.per_image[0], 1.0, 1e-8);
  EXPECT_NEAR(result.per_image[1], 0.0, 1e-8);
  EXPECT_TRUE(std::isnan(result.per_image[2]));
  EXPECT_TRUE(std::isnan(result.per_image[3]));
  EXPECT_NEAR(result.corpus, 0.5, 1e-8);
  EXPECT_TRUE(std::isnan(self_bleu(std::span(images).subspan(2)).corpus));
}

TEST(Diversity, SelfCiderOfCandidates) {
  const std::vector<std::vector<Tokens>> images{
      {words("a dog runs on grass"), words("a dog runs on grass"), words("a dog runs on grass")},
      {words("a b c d"), words("e f g h"), words("i j k l")},
      {words("a b c d"), words("a b c d"), words("e f g h")},
      {words("a dog")}};
  const DocumentFrequencies frequencies(std::vector<std::vector<Tokens>>{{words("x")}, {words("y")}});
  const auto result = self_cider(images, frequencies);
  EXPECT_NEAR(result.per_image[0], 0.0, 1e-6);
  EXPECT_NEAR(result.per_image[1], 1.0, 1e-9);
  // The matrix has the eigenvalues 2, 1 and 0.
  EXPECT_NEAR(result.per_image[2], -std::log(std::sqrt(2.0) / (std::sqrt(2.0) + 1)) / std::log(3.0), 1e-6);
  EXPECT_TRUE(std::isnan(result.per_image[3]));
  EXPECT_NEAR(result.corpus, (result.per_image[0] + result.per_image[1] + result.per_image[2]) / 3, 1e-12);
  // Frequencies of a single image make all words worth nothing.
  const DocumentFrequencies one(std::vector<std::vector<Tokens>>{{words("a b c d e f g h i j k l")}});
  EXPECT_NEAR(self_cider(images, one).per_image[1], 0.0, 1e-12);
}

}  // namespace
}  // namespace capdiff
