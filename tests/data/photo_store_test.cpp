#include "capdiff/data/photo_store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "capdiff/image/decode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

const std::filesystem::path kPicture = std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny/image.png";

TEST(PhotoStore, KeepsPlacesWhenAFileCannotBeRead) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "bad.jpg") << "no photo";
  const std::vector<std::filesystem::path> paths{kPicture, folder.path() / "bad.jpg", kPicture};
  const PhotoStore photos(paths, 0, 2);
  ASSERT_EQ(photos.size(), 3);
  EXPECT_FALSE(photos.readable(1));
  EXPECT_EQ(photos.photo(2), read_image(kPicture));
}

TEST(PhotoStore, ShrinksLargePhotos) {
  const PhotoStore photos(std::vector{kPicture}, 20, 1);
  const Image whole = read_image(kPicture);
  EXPECT_EQ(std::max(photos.photo(0).width, photos.photo(0).height), 20);
  EXPECT_NEAR(static_cast<double>(photos.photo(0).width) / photos.photo(0).height,
              static_cast<double>(whole.width) / whole.height, 0.05);
}

TEST(PhotoStore, RefusesACollectionWithoutASinglePhoto) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "bad.jpg") << "no photo";
  expect_error(ErrorCode::invalid_input, "none of the 1 photos",
               [&] { PhotoStore(std::vector{folder.path() / "bad.jpg"}, 0, 1); });
}

}  // namespace
}  // namespace capdiff::test
