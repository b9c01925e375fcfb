#include "capdiff/formats/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/formats/dataset.h"
#include "capdiff/formats/splits.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::Optional;

TEST(ImageFolder, ReadsCaptionsBesidePictures) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "pets");
  folder.write("b.JPG", "");
  folder.write("b.txt", "  a dog runs \n\na brown dog\r\n");
  folder.write("pets/a.png", "");
  folder.write("pets/a.txt",
               "\xef\xbb\xbf"
               "a cat");
  folder.write("silent.jpg", "");
  folder.write("blank.jpg", "");
  folder.write("blank.txt", " \n");
  folder.write("notes.txt", "no picture");
  const CaptionDataset dataset = read_dataset(folder.path());
  EXPECT_EQ(dataset.folder, folder.path());
  ASSERT_EQ(dataset.images.size(), 2u);
  EXPECT_EQ(dataset.images[0].path, "b.JPG");
  EXPECT_EQ(dataset.images[0].id, 1);
  EXPECT_EQ(dataset.images[0].split, "train");
  EXPECT_THAT(dataset.images[0].captions, ElementsAre("a dog runs", "a brown dog"));
  EXPECT_EQ(dataset.images[1].path, "pets/a.png");
  EXPECT_THAT(dataset.images[1].captions, ElementsAre("a cat"));
}

TEST(ImageFolder, HasTheSplitsOfItsFoldersAndOfNames) {
  const TemporaryFolder folder;
  const auto add = [&](const std::string& name) {
    fs::create_directories((folder.path() / name).parent_path());
    folder.write(name + ".jpg", "");
    folder.write(name + ".txt", "a caption");
  };
  add("val/1");
  add("validation/2");
  add("test shots/3");  // not a split: the name says more
  for (int i = 0; i < 100; ++i) add("more/" + std::to_string(i));
  EXPECT_EQ(read_image_folder(folder.path(), {"val"}).images.size(), 2u);
  EXPECT_EQ(read_image_folder(folder.path(), {"train"}).images.size(), 101u);
  const CaptionDataset share = read_image_folder(folder.path(), {"val"}, 0.3);
  EXPECT_GT(share.images.size(), 15u);
  EXPECT_LT(share.images.size(), 50u);
  add("more/100");  // changes nothing for the others
  const CaptionDataset again = read_image_folder(folder.path(), {"val"}, 0.3);
  EXPECT_LE(again.images.size() - share.images.size(), 1u);
}

TEST(ImageFolder, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::invalid_input, folder.path().string(), [&] { read_image_folder(folder.path()); });
  folder.write("a.jpg", "");
  folder.write("a.txt", "caf\xe9");
  expect_error(ErrorCode::invalid_input, "a.txt", [&] { read_image_folder(folder.path()); });
  folder.write("a.txt", std::string((1 << 20) + 1, 'a'));
  expect_error(ErrorCode::invalid_input, "a.txt", [&] { read_image_folder(folder.path()); });
}

TEST(Splits, AreWordsOfAName) {
  EXPECT_THAT(split_in_name("captions_val2014"), Optional(std::string("val")));
  EXPECT_THAT(split_in_name("train-00001"), Optional(std::string("train")));
  EXPECT_THAT(split_in_name("my_validation_set"), Optional(std::string("val")));
  EXPECT_EQ(split_in_name("trains"), std::nullopt);
  EXPECT_EQ(split_in_name("valley"), std::nullopt);
  EXPECT_EQ(split_in_name(""), std::nullopt);
}

TEST(Splits, ByHashAreTheSameEverywhere) {
  EXPECT_EQ(split_by_hash("a", 0.0), "train");
  EXPECT_EQ(split_by_hash("a", 1.0), "val");
  int held_out = 0;
  for (int i = 0; i < 10'000; ++i) held_out += split_by_hash(std::to_string(i), 0.1) == "val" ? 1 : 0;
  EXPECT_NEAR(held_out, 1000, 120);
}

}  // namespace
}  // namespace capdiff::test
