#include "capdiff/metrics/diversity.h"

#include <gtest/gtest.h>

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
  }
}

}  // namespace
}  // namespace capdiff
