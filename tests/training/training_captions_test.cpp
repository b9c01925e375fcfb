#include "capdiff/training/training_captions.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/tar_file.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

Recipe recipe_of(const TemporaryFolder& folder, const std::string& data) {
  return Recipe::load(folder.write("toy.toml", "[data]\nroot = \"" + folder.path().string() + "\"\n" + data));
}

TEST(RecipeDataset, MayBeATarFileWithItsPhotos) {
  const TemporaryFolder folder;
  folder.write("shard.tar",
               tar_file({{"a.jpg", "pixels"}, {"a.txt", "one\ntwo"}, {"b.jpg", "pixels"}, {"b.txt", "three"}}));
  const Recipe recipe = recipe_of(folder, "dataset = \"shard.tar\"\n");
  EXPECT_THAT(training_captions(recipe.data()), ElementsAre("one", "two", "three"));
  const auto photos = recipe_photos(recipe.data(), recipe_dataset(recipe.data(), {}));
  ASSERT_EQ(photos.size(), 2u);
  EXPECT_EQ(photos[1].file, folder.path() / "shard.tar");
  EXPECT_EQ(photos[1].member, "b.jpg");
}

TEST(RecipeDataset, MayBeAFolderWithAShareForValidation) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "photos");
  for (int i = 0; i < 40; ++i) {
    folder.write("photos/" + std::to_string(i) + ".jpg", "");
    folder.write("photos/" + std::to_string(i) + ".txt", "caption");
  }
  const Recipe recipe = recipe_of(folder, "dataset = \"photos\"\nvalidation_share = 0.5\nsplits = [\"train\"]\n");
  const std::size_t train = training_captions(recipe.data()).size();
  const CaptionDataset held_out = recipe_dataset(recipe.data(), {"val"});
  EXPECT_EQ(train + held_out.images.size(), 40u);
  EXPECT_GT(train, 5u);
  EXPECT_GT(held_out.images.size(), 5u);
  EXPECT_EQ(recipe_photos(recipe.data(), held_out)[0].file, folder.path() / "photos" / held_out.images[0].path);
}

TEST(RecipeDataset, MayBeAShareThatIsPartOfALargerOne) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "photos");
  for (int i = 0; i < 200; ++i) {
    folder.write(fmt::format("photos/{}.jpg", i), "");
    folder.write(fmt::format("photos/{}.txt", i), fmt::format("caption {}", i));
  }
  const auto captions = [&](const std::string& settings) {
    return training_captions(recipe_of(folder, "dataset = \"photos\"\n" + settings).data());
  };
  EXPECT_EQ(captions("share = 1.0\n").size(), 200u);
  const std::vector<std::string> tenth = captions("share = 0.1\n"), half = captions("share = 0.5\n");
  EXPECT_EQ(tenth, captions("share = 0.1\n"));
  EXPECT_GT(tenth.size(), 8u);
  EXPECT_LT(tenth.size(), 36u);
  EXPECT_GT(half.size(), 70u);
  EXPECT_LT(half.size(), 130u);
  EXPECT_THAT(half, IsSupersetOf(tenth));
  expect_error(ErrorCode::usage, "data.share", [&] { captions("share = 0.0\n"); });
}

TEST(RecipeDataset, OfJsonNeedsTheFolderOfItsImages) {
  const TemporaryFolder folder;
  folder.write("dataset.json",
               R"({"images": [{"imgid": 1, "filename": "a.jpg", "split": "val", "sentences": [{"raw": "x"}]}]})");
  const Recipe recipe = recipe_of(folder, "dataset = \"dataset.json\"\n");
  const CaptionDataset dataset = recipe_dataset(recipe.data(), {});
  expect_error(ErrorCode::usage, "data.images", [&] { recipe_photos(recipe.data(), dataset); });
}

}  // namespace
}  // namespace capdiff::test
