#include "capdiff/selection/minimum_bayes_risk.h"

#include <gtest/gtest.h>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

const std::vector<std::string> kCaptions{"two dogs play", "a man on a horse at the beach",
                                         "a man riding a horse on the beach", "a man riding a horse"};

TEST(MinimumBayesRisk, ChoosesTheCaptionThatAgreesBestWithTheOthers) {
  for (const Utility utility : {Utility::bleu, Utility::bleu_method4, Utility::cider_d}) {
    const MinimumBayesRisk risk = minimum_bayes_risk(kCaptions, utility);
    EXPECT_EQ(risk.chosen, 2u) << name_of(utility);
    EXPECT_EQ(risk.scores.size(), 4u);
    EXPECT_LT(risk.scores[0], risk.scores[3]) << name_of(utility);
  }
}

TEST(MinimumBayesRisk, ScoresAreMeansOverTheOthers) {
  const auto table = utilities(kCaptions, Utility::bleu);
  const MinimumBayesRisk risk = minimum_bayes_risk(kCaptions, Utility::bleu);
  EXPECT_EQ(table[1][1], 1.0);
  EXPECT_NEAR(risk.scores[1], (table[1][0] + table[1][2] + table[1][3]) / 3.0, 1e-12);
}

TEST(MinimumBayesRisk, OfEqualsTheFirstIsChosen) {
  const std::vector<std::string> tie{"a red cat", "two dogs", "two dogs"};
  EXPECT_EQ(minimum_bayes_risk(tie, Utility::bleu).chosen, 1u);
}

TEST(MinimumBayesRisk, OneCaptionHasNothingToAgreeWith) {
  const std::vector<std::string> one{"a dog"};
  EXPECT_EQ(minimum_bayes_risk(one, Utility::bleu).chosen, 0u);
  EXPECT_EQ(minimum_bayes_risk(one, Utility::bleu).scores, std::vector<double>{0.0});
  EXPECT_THROW(minimum_bayes_risk({}, Utility::bleu), Error);
}

TEST(MinimumBayesRisk, EmptyCaptionsAgreeWithNothing) {
  const std::vector<std::string> captions{"", "a dog runs", "a dog"};
  for (const Utility utility : {Utility::bleu, Utility::bleu_method4, Utility::cider_d})
    EXPECT_NE(minimum_bayes_risk(captions, utility).chosen, 0u) << name_of(utility);
}

TEST(Utility, HasNames) {
  for (const Utility value : {Utility::bleu, Utility::bleu_method4, Utility::cider_d})
    EXPECT_EQ(utility(name_of(value)), value);
  EXPECT_THROW(utility("rouge"), Error);
}

}  // namespace
}  // namespace capdiff
