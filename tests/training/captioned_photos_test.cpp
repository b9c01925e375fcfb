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
    EncodedCaptions captions(
        [](std::string_view caption) { return std::vector<std::int64_t>(caption.empty() ? 0u : 2u, 1); },
        /*length=*/2, /*pad=*/0);
    return captioned_photos(dataset_, readable, captions, "the test");
  }

  CaptionDataset dataset_;
};

TEST_F(CaptionedPhotos, AreThoseThatCanBeReadAndHaveACaption) {
  const auto found = photos([](std::int64_t photo) { return photo != 1; });
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].photo, 0);
  EXPECT_THAT(found[0].captions, ElementsAre(0, 1));
  EXPECT_EQ(found[1].photo, 2);
  EXPECT_THAT(found[1].captions, ElementsAre(2));
}

TEST_F(CaptionedPhotos, NoneAtAllIsAnError) {
  expect_error(ErrorCode::invalid_input, "no photo of the test has a caption",
               [&] { photos([](std::int64_t photo) { return photo > 2; }); });
}

}  // namespace
}  // namespace capdiff::test
