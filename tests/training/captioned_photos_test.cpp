#include "capdiff/training/captioned_photos.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace capdiff::test {
namespace {

using ::testing::ElementsAre;

class CaptionedPhotos : public ::testing::Test {
 protected:
  CaptionedPhotos() {
    for (const std::vector<std::string>& captions :
         std::vector<std::vector<std::string>>{{"one", "two"}, {"three"}, {"", "four"}, {""}, {}}) {
      dataset_.images.emplace_back();
      dataset_.images.back().captions = captions;
    }
  }

  std::vector<CaptionedPhoto> photos(const std::function<bool(std::int64_t)>& readable) {
    std::int64_t next = 10;
    return captioned_photos(
        dataset_, readable, [&](const std::string& caption) { return caption.empty() ? std::int64_t{-1} : next++; },
        "the test");
  }

  CaptionDataset dataset_;
};

TEST_F(CaptionedPhotos, AreThoseThatCanBeReadAndHaveACaption) {
  const auto found = photos([](std::int64_t photo) { return photo != 1; });
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].photo, 0);
  EXPECT_THAT(found[0].captions, ElementsAre(10, 11));
  EXPECT_EQ(found[1].photo, 2);
  EXPECT_THAT(found[1].captions, ElementsAre(12));
}

TEST_F(CaptionedPhotos, NoneAtAllIsAnError) {
  expect_error(ErrorCode::invalid_input, "no photo of the test has a caption",
               [&] { photos([](std::int64_t photo) { return photo > 2; }); });
}

}  // namespace
}  // namespace capdiff::test
