#include "capdiff/metrics/rouge_l.h"

#include <gtest/gtest.h>

#include "capdiff/base/error.h"
#include "tests/metrics/metric_goldens.h"

namespace capdiff {
namespace {

using test::words;

double rouge_of(std::string_view candidate, std::vector<Tokens> references) {
  return rouge_l(std::vector<ScoredImage>{{"1", words(candidate), std::move(references)}}).corpus;
}

TEST(RougeL, LongestCommonSubsequence) {
  EXPECT_EQ(longest_common_subsequence(words("a b c b d a b"), words("b d c a b a")), 4u);
  EXPECT_EQ(longest_common_subsequence(words("a b"), words("b a")), 1u);
  EXPECT_EQ(longest_common_subsequence(words("a a a"), words("a")), 1u);
  EXPECT_EQ(longest_common_subsequence(words("a"), {}), 0u);
  EXPECT_EQ(longest_common_subsequence({}, words("a")), 0u);
}

TEST(RougeL, PrecisionAndRecallTakeTheirBestReferencesApart) {
  // P = 2/3 from "a b", R = 1 from "a b" too; against "a b c x y" P = 1, R = 3/5.
  const double beta2 = 1.44;
  EXPECT_NEAR(rouge_of("a b c", {words("a b c x y"), words("a b")}), (1 + beta2) * 1 * 1 / (1 + beta2 * 1), 1e-12);
  EXPECT_NEAR(rouge_of("a b c", {words("a b c x y")}), (1 + beta2) * 1 * 0.6 / (0.6 + beta2 * 1), 1e-12);
}

TEST(RougeL, Extremes) {
  EXPECT_DOUBLE_EQ(rouge_of("a dog runs", {words("a dog runs")}), 1.0);
  EXPECT_DOUBLE_EQ(rouge_of("x", {words("a dog runs")}), 0.0);
  EXPECT_DOUBLE_EQ(rouge_of("", {words("a dog runs")}), 0.0);
  EXPECT_DOUBLE_EQ(rouge_of("a", {Tokens{}}), 0.0);
  EXPECT_DOUBLE_EQ(rouge_of("", {Tokens{}}), 1.0);
  EXPECT_THROW(rouge_of("a", {}), Error);
}

}  // namespace
}  // namespace capdiff
