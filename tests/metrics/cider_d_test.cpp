#include "capdiff/metrics/cider_d.h"

#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"
#include "tests/metrics/metric_goldens.h"

namespace capdiff {
namespace {

using test::words;

TEST(CiderD, DocumentsAreImagesNotCaptions) {
  const std::vector<std::vector<Tokens>> corpus{{words("a dog"), words("a dog runs")}, {words("a cat")}};
  const DocumentFrequencies frequencies(corpus);
  auto numbers = frequencies.words();
  const auto dog = numbers.number(words("a dog"));
  EXPECT_EQ(frequencies.images(), 2);
  EXPECT_EQ((frequencies[{dog[0]}]), 2);
  EXPECT_EQ((frequencies[{dog[1]}]), 1);
  EXPECT_EQ((frequencies[{dog[0], dog[1]}]), 1);
  EXPECT_EQ((frequencies[{dog[1], dog[0]}]), 0);
}

TEST(CiderD, IdenticalCaptionsOfFourWordsScoreTen) {
  const std::vector<ScoredImage> images{{"1", words("red fox runs fast"), {words("red fox runs fast")}},
                                        {"2", words("blue cat"), {words("blue cat")}}};
  const auto result = cider_d(images);
  EXPECT_NEAR(result.per_image[0], 10.0, 1e-12);
  EXPECT_NEAR(result.per_image[1], 5.0, 1e-12);  // there are no n-grams of orders 3 and 4
  EXPECT_NEAR(result.corpus, 7.5, 1e-12);
}

TEST(CiderD, LengthsAndRepetitionsArePenalised) {
  // Only the word "x" is shared: min(2, 1) · 1 / (2 · 1) for order 1, one bigram more than the reference.
  const std::vector<ScoredImage> images{{"1", words("x x"), {words("x")}}, {"2", words("y"), {words("y")}}};
  EXPECT_NEAR(cider_d(images).per_image[0], 10 * 0.5 / 4 * std::exp(-1.0 / 72), 1e-12);
}

TEST(CiderD, AWordOfEveryImageSaysNothing) {
  const std::vector<ScoredImage> images{{"1", words("a"), {words("a")}}, {"2", words("a"), {words("a")}}};
  EXPECT_DOUBLE_EQ(cider_d(images).corpus, 0.0);
}

TEST(CiderD, WordsUnknownToTheFrequenciesCount) {
  const std::vector<std::vector<Tokens>> corpus{{words("a")}, {words("b")}};
  const std::vector<ScoredImage> images{{"1", words("new words are here"), {words("new words are here")}}};
  EXPECT_NEAR(cider_d(images, DocumentFrequencies(corpus)).corpus, 10.0, 1e-12);
}

TEST(CiderD, NeedsImagesAndReferences) {
  EXPECT_THROW(cider_d({}), Error);
  EXPECT_THROW(cider_d(std::vector<ScoredImage>{{"1", words("a"), {}}}), Error);
  EXPECT_THROW(DocumentFrequencies(std::vector<std::vector<Tokens>>{}), Error);
}

}  // namespace
}  // namespace capdiff
