#include "capdiff/diffusion/settled_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capdiff {
namespace {

using testing::ElementsAre;

std::vector<float> mask_of(const SettledWords& words, std::int64_t calls) {
  const HostTensor mask = words.mask(calls);
  return {mask.values<float>().begin(), mask.values<float>().end()};
}

TEST(SettledWords, CountCallsThatAgree) {
  SettledWords words;
  words.update(HostTensor::of({2, 2}, std::vector<std::int64_t>{4, 5, 6, 7}));
  EXPECT_THAT(mask_of(words, 1), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(mask_of(words, 2), ElementsAre(0, 0, 0, 0));
  words.update(HostTensor::of({2, 2}, std::vector<std::int64_t>{4, 9, 6, 7}));
  EXPECT_THAT(mask_of(words, 2), ElementsAre(1, 0, 1, 1));
  EXPECT_THAT(words.rows(2), ElementsAre(false, true));
  words.update(HostTensor::of({2, 2}, std::vector<std::int64_t>{4, 5, 6, 8}));
  EXPECT_THAT(mask_of(words, 3), ElementsAre(1, 0, 1, 0));
  EXPECT_EQ(words.mask(3).shape(), (Shape{2, 2, 1}));
}

TEST(SettledWords, GoOnWithTheRowsThatAreLeft) {
  SettledWords words;
  words.update(HostTensor::of({3, 1}, std::vector<std::int64_t>{1, 2, 3}));
  words.keep_only({2, 0});
  words.update(HostTensor::of({2, 1}, std::vector<std::int64_t>{3, 9}));
  EXPECT_THAT(words.rows(2), ElementsAre(true, false));
}

}  // namespace
}  // namespace capdiff
