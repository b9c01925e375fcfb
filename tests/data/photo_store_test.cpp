#include "capdiff/data/photo_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "capdiff/formats/dataset.h"
#include "capdiff/image/decode.h"
#include "tests/support/command.h"
#include "tests/support/expect_error.h"
#include "tests/support/tar_file.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

const std::filesystem::path kPicture = std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny/image.png";

TEST(PhotoStore, KeepsPlacesWhenAFileCannotBeRead) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "bad.jpg") << "no photo";
  const std::vector<PhotoSource> paths{kPicture, folder.path() / "bad.jpg", kPicture};
  const PhotoStore photos(paths, 0, 2);
  ASSERT_EQ(photos.size(), 3);
  EXPECT_FALSE(photos.readable(1));
  EXPECT_EQ(photos.photo(2), read_image(kPicture));
}

TEST(PhotoStore, ShrinksLargePhotos) {
  const PhotoStore photos(std::vector<PhotoSource>{kPicture}, 20, 1);
  const Image whole = read_image(kPicture);
  EXPECT_EQ(std::max(photos.photo(0).width, photos.photo(0).height), 20);
  EXPECT_NEAR(static_cast<double>(photos.photo(0).width) / photos.photo(0).height,
              static_cast<double>(whole.width) / whole.height, 0.05);
}

TEST(PhotoStore, RefusesACollectionWithoutASinglePhoto) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "bad.jpg") << "no photo";
  expect_error(ErrorCode::invalid_input, "none of the 1 photos",
               [&] { PhotoStore(std::vector<PhotoSource>{folder.path() / "bad.jpg"}, 0, 1); });
}

TEST(PhotoStore, ReadsPhotosInsideTarFiles) {
  const TemporaryFolder folder;
  const std::string picture = read_text_bytes(kPicture);
  const auto shard = folder.write("shard.tar", tar_file({{"a.txt", "a scene"}, {"a.png", picture}}));
  const CaptionDataset dataset = read_dataset(shard);
  std::vector<PhotoSource> sources = photo_sources(dataset, dataset.folder);
  EXPECT_EQ(PhotoStore(sources, 0, 1).photo(0), read_image(kPicture));
  std::filesystem::resize_file(shard, 2000);
  EXPECT_THAT(expect_error(ErrorCode::invalid_input, "shorter", [&] { read_photo(sources[0]); }),
              testing::StartsWith(shard.string() + ": a.png"));
}

}  // namespace
}  // namespace capdiff::test
