#include "capdiff/metrics/rouge_l.h"

#include <gtest/gtest.h>

#include <random>

#include "capdiff/base/error.h"
#include "tests/metrics/metric_goldens.h"
#include "tests/support/expect_error.h"

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

/// The textbook's table.
std::size_t plain_common_subsequence(const Tokens& a, const Tokens& b) {
  std::vector<std::vector<std::size_t>> table(a.size() + 1, std::vector<std::size_t>(b.size() + 1, 0));
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j)
      table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1 : std::max(table[i - 1][j], table[i][j - 1]);
  return table[a.size()][b.size()];
}

TEST(RougeL, CommonSubsequencesOfAnyLength) {
  std::mt19937 random(1);
  for (const std::size_t length : {1, 5, 63, 64, 65, 127, 128, 129, 300}) {
    for (const unsigned kinds : {2u, 9u, 200u}) {
      Tokens a, b;
      for (std::size_t i = 0; i < length; ++i) a.push_back(std::to_string(random() % kinds));
      for (std::size_t i = 0; i < length + random() % 90; ++i) b.push_back(std::to_string(random() % kinds));
      EXPECT_EQ(longest_common_subsequence(a, b), plain_common_subsequence(a, b)) << length << " of " << kinds;
      EXPECT_EQ(longest_common_subsequence(b, a), plain_common_subsequence(a, b)) << length << " of " << kinds;
    }
  }
}

TEST(RougeL, RefusesWhatWouldTakeForEver) {
  const Tokens long_one(70'000, "a");
  const std::vector<ScoredImage> images{{"7", long_one, {words("a b"), long_one}}};
  test::expect_error(ErrorCode::unsupported, "image 7", [&] { rouge_l(images); });
  const std::vector<ScoredImage> one_sided{{"7", long_one, {words("a b")}}};
  EXPECT_GT(rouge_l(one_sided).corpus, 0.0);
}

TEST(RougeL, CutAtSpaces) {
  EXPECT_EQ(cut_at_spaces(" a  b "), (Tokens{"", "a", "", "b", ""}));
  EXPECT_EQ(cut_at_spaces("a\tb"), (Tokens{"a\tb"}));
  EXPECT_EQ(cut_at_spaces(""), (Tokens{""}));
}

}  // namespace
}  // namespace capdiff
