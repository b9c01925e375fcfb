#include "capdiff/diffusion/back_and_refine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capdiff {
namespace {

using testing::ElementsAre;

std::vector<float> kept(const BackAndRefine& back, const HostTensor& confidence) {
  const HostTensor mask = back.kept(confidence);
  EXPECT_EQ(mask.shape(), (Shape{confidence.shape()[0], confidence.shape()[1], 1}));
  return {mask.values<float>().begin(), mask.values<float>().end()};
}

TEST(BackAndRefine, ActsWithinItsWindow) {
  const BackAndRefine paper;
  EXPECT_TRUE(paper.acts_at(500, 1000));
  EXPECT_TRUE(paper.acts_at(1, 1000));
  EXPECT_FALSE(paper.acts_at(501, 1000));
  const BackAndRefine released{.time = 0.5995, .not_below = 0.3};
  EXPECT_FALSE(released.acts_at(600, 1000));
  EXPECT_TRUE(released.acts_at(599, 1000));
  EXPECT_TRUE(released.acts_at(301, 1000));
  EXPECT_FALSE(released.acts_at(300, 1000));
}

TEST(BackAndRefine, KeepsTheMostCertainShareOfEveryRow) {
  EXPECT_THAT(kept({}, HostTensor::of({2, 4}, {0.1f, 0.9f, 0.3f, 0.2f, 0.4f, 0.3f, 0.2f, 0.1f})),
              ElementsAre(0, 1, 1, 0, 1, 1, 0, 0));
}

TEST(BackAndRefine, OfEquallyCertainPositionsTheEarlierIsKept) {
  EXPECT_THAT(kept({}, HostTensor::of({1, 4}, {0.5f, 0.5f, 0.5f, 0.5f})), ElementsAre(1, 1, 0, 0));
}

TEST(BackAndRefine, PaperRoundsWhatIsKeptDownAndTheReleasedCodeWhatIsTakenBack) {
  const HostTensor five = HostTensor::of({1, 5}, {0.5f, 0.4f, 0.3f, 0.2f, 0.1f});
  EXPECT_THAT(kept({.share = 0.5}, five), ElementsAre(1, 1, 0, 0, 0));
  EXPECT_THAT(kept({.share = 0.5, .noisy = true}, five), ElementsAre(1, 1, 1, 0, 0));
  EXPECT_THAT(kept({.share = 0.8}, five), ElementsAre(1, 0, 0, 0, 0));  // 5 · (1 − 0.8) is 1, whatever its rounding
  EXPECT_THAT(kept({.share = 1.0 / 3.0, .noisy = true}, five), ElementsAre(1, 1, 1, 1, 0));
}

TEST(BackAndRefine, CanGoByProbabilityInstead) {
  EXPECT_THAT(kept({.min_confidence = 0.4}, HostTensor::of({1, 4}, {0.4f, 0.39f, 0.9f, 0.1f})),
              ElementsAre(1, 0, 1, 0));
}

}  // namespace
}  // namespace capdiff
