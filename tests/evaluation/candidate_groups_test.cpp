#include "capdiff/evaluation/candidate_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/evaluation/report.h"

namespace capdiff {
namespace {

const std::vector<EvaluatedCaption> kDrawn{
    {"1", "", {"a dog runs on grass", "the dog is running"}, {"a red car", "a dog runs on grass", "a dog on grass"}},
    {"2", "", {"two men sit on a bench"}, {"two men sit", "two men sit on a bench", "men sit on a bench"}}};
const std::vector<std::vector<double>> kCosines{{0.1, 0.2, 0.9}, {0.3, 0.8, 0.5}};

double value_of(const CandidateGroup& group, const std::string& name) {
  for (const auto& [key, value] : group.values)
    if (key == name) return value;
  ADD_FAILURE() << "no " << name;
  return 0.0;
}

class CandidateGroups : public testing::Test {
 protected:
  std::vector<CandidateGroup> groups(const CandidateGroupOptions& options) const {
    return group_by_candidates(prepared_.set(), options);
  }
  /// CIDEr-D where these candidates are the captions.
  double cider_of(std::size_t first, std::size_t second) const {
    std::vector<EvaluatedCaption> chosen = kDrawn;
    chosen[0].candidate = chosen[0].candidates[first];
    chosen[1].candidate = chosen[1].candidates[second];
    return make_cider_d_metric(std::nullopt)->score(PreparedCaptions(chosen, words_).set()).columns[0].corpus;
  }

  LowerNoPunctuationTokenizer words_;
  PreparedCaptions prepared_{kDrawn, words_};
};

TEST_F(CandidateGroups, ScoreWhatEachSelectionTakesAmongTheFirst) {
  const auto all = groups({.counts = {1, 2, 3}, .cosines = kCosines, .seconds_per_image = 0.5});
  ASSERT_EQ(all.size(), 7u);
  std::vector<std::string> names;
  for (const CandidateGroup& group : all) names.push_back(std::to_string(group.candidates) + group.selection);
  EXPECT_THAT(names, testing::ElementsAre("1first", "2first", "2mbr", "2clip", "3first", "3mbr", "3clip"));
  EXPECT_DOUBLE_EQ(value_of(all[0], "CIDEr-D"), cider_of(0, 0));
  EXPECT_DOUBLE_EQ(value_of(all[3], "CIDEr-D"), cider_of(1, 1));
  EXPECT_DOUBLE_EQ(value_of(all[6], "CIDEr-D"), cider_of(2, 1));
  EXPECT_DOUBLE_EQ(value_of(all[6], "CLIP"), (0.9 + 0.8) / 2.0);
  EXPECT_DOUBLE_EQ(value_of(all[0], "CLIP"), (0.1 + 0.3) / 2.0);
  EXPECT_TRUE(std::isnan(value_of(all[0], "Seconds")));
  EXPECT_EQ(value_of(all[6], "Seconds"), 0.5);
}

TEST_F(CandidateGroups, DiversityIsThatOfAllCandidates) {
  const auto all = groups({.counts = {1, 3}});
  ASSERT_EQ(all.size(), 3u);  // no CLIP, nothing to choose from one
  // "a red car", "two men sit"
  EXPECT_EQ(value_of(all[0], "Words"), 6.0);
  EXPECT_DOUBLE_EQ(value_of(all[0], "Dist-1"), 1.0);
  EXPECT_DOUBLE_EQ(value_of(all[0], "Dist-2"), 4.0 / 6.0);
  // a red car dog runs on grass two men sit bench, of 26 words
  EXPECT_EQ(value_of(all[1], "Words"), 11.0);
  EXPECT_DOUBLE_EQ(value_of(all[1], "Dist-1"), 11.0 / 26.0);
  // The references have a dog runs on grass the is running two men sit bench.
  EXPECT_DOUBLE_EQ(value_of(all[1], "Vocabulary"), 11.0 / 12.0);
  for (const auto& [name, value] : all[0].values) EXPECT_NE(name, "CLIP");
}

TEST_F(CandidateGroups, RefuseWhatWasNotDrawn) {
  EXPECT_THROW(groups({.counts = {4}}), Error);
  EXPECT_THROW(groups({.counts = {3}, .cosines = {{0.1}, {0.1}}}), Error);
}

TEST(CandidateCounts, AreRisingNumbers) {
  EXPECT_THAT(candidate_counts("1,5,10"), testing::ElementsAre(1, 5, 10));
  EXPECT_THAT(candidate_counts("7"), testing::ElementsAre(7));
  for (const char* wrong : {"", "0", "5,1", "2,2", "1,", ",1", "a", "1;2", "1025", "-1"})
    EXPECT_THROW(candidate_counts(wrong), Error) << wrong;
}

}  // namespace
}  // namespace capdiff
