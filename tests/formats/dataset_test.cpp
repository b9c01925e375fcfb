#include "capdiff/formats/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

class Paragraphs : public testing::Test {
 protected:
  void SetUp() override {
    write("paragraphs_v1.json", R"( [{"image_id": 12, "paragraph": "A dog runs. It is brown.", "url": "u"},
      {"image_id": 7, "paragraph": "Two men sit.", "url": "u"}, {"image_id": 12, "paragraph": "A brown dog."}])");
    write("train_split.json", "[12]");
    write("val_split.json", "[7]");
    write("test_split.json", "[]");
  }
  void write(const char* name, const char* text) const { std::ofstream(folder_.path() / name) << text; }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "paragraphs_v1.json";
};

TEST_F(Paragraphs, AreReadWithTheirSplits) {
  const CaptionDataset all = read_dataset(file_);
  ASSERT_EQ(all.images.size(), 2u);
  EXPECT_EQ(all.images[0].id, 12);
  EXPECT_EQ(all.images[0].path, "12.jpg");
  EXPECT_EQ(all.images[0].split, "train");
  EXPECT_THAT(all.images[0].captions, testing::ElementsAre("A dog runs. It is brown.", "A brown dog."));
  const CaptionDataset val = read_dataset(file_, {"val"});
  ASSERT_EQ(val.images.size(), 1u);
  EXPECT_EQ(val.images[0].id, 7);
}

TEST_F(Paragraphs, ErrorsNameTheFile) {
  expect_error(ErrorCode::not_found, "dev_split.json", [&] { read_dataset(file_, {"dev"}); });
  expect_error(ErrorCode::invalid_input, "no split", [&] { read_dataset(file_, {"../val"}); });
  write("val_split.json", "[8]");
  expect_error(ErrorCode::invalid_input, "image 8 has no paragraph", [&] { read_dataset(file_, {"val"}); });
  write("val_split.json", "[7, 7]");
  expect_error(ErrorCode::invalid_input, "listed twice", [&] { read_dataset(file_, {"val"}); });
  write("val_split.json", "[\"7\"]");
  expect_error(ErrorCode::invalid_input, "val_split.json", [&] { read_dataset(file_, {"val"}); });
  write("paragraphs_v1.json", R"([{"image_id": -1, "paragraph": "x"}])");
  expect_error(ErrorCode::invalid_input, "image_id", [&] { read_dataset(file_); });
}

TEST_F(Paragraphs, AnObjectIsAKarpathyFile) {
  write("dataset.json",
        R"({"images": [{"imgid": 1, "filename": "a.jpg", "split": "val", "sentences": [{"raw": "x"}]}]})");
  EXPECT_EQ(read_dataset(folder_.path() / "dataset.json").images[0].path, "a.jpg");
}

}  // namespace
}  // namespace capdiff::test
