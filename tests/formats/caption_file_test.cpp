#include "capdiff/formats/caption_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/base/error.h"
#include "tests/support/command.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using Start = CaptionFile::Start;

class CaptionFileTest : public testing::Test {
 protected:
  std::string text(const std::filesystem::path& path) const { return test::read_text_bytes(path); }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "captions.txt";
  std::filesystem::path part_ = folder_.path() / "captions.txt.part";
};

TEST_F(CaptionFileTest, AppearsWhenItIsFinished) {
  CaptionFile file(path_, {}, Start::go_on);
  file.write("a.jpg\ta cat\n");
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(text(part_), "a.jpg\ta cat\n");
  file.finish();
  EXPECT_EQ(text(path_), "a.jpg\ta cat\n");
  EXPECT_FALSE(std::filesystem::exists(part_));
}

TEST_F(CaptionFileTest, GoesOnBehindTheLastWholeRow) {
  folder_.write("captions.txt.part", "a.jpg\ta cat\nb.jpg\ttwo do");
  CaptionFile file(path_, {}, Start::go_on);
  EXPECT_TRUE(file.has("a.jpg"));
  EXPECT_FALSE(file.has("b.jpg"));
  file.write("b.jpg\ttwo dogs\n");
  file.finish();
  EXPECT_EQ(text(path_), "a.jpg\ta cat\nb.jpg\ttwo dogs\n");
}

TEST_F(CaptionFileTest, KeepsTheRowsOfAFinishedFileWhenAsked) {
  folder_.write("captions.txt", "a.jpg\ta cat\n");
  {
    CaptionFile file(path_, {}, Start::go_on);
    EXPECT_EQ(file.kept(), 0u);
  }
  EXPECT_FALSE(std::filesystem::exists(part_));  // there was nothing in it
  CaptionFile file(path_, {}, Start::keep_rows);
  EXPECT_TRUE(file.has("a.jpg"));
  file.write("b.jpg\ttwo dogs\n");
  file.finish();
  EXPECT_EQ(text(path_), "a.jpg\ta cat\nb.jpg\ttwo dogs\n");
}

TEST_F(CaptionFileTest, AnewForgetsWhatARunHasLeft) {
  folder_.write("captions.txt.part", "a.jpg\ta cat\n");
  CaptionFile file(path_, {}, Start::anew);
  EXPECT_FALSE(file.has("a.jpg"));
  file.write("b.jpg\ttwo dogs\n");
  file.finish();
  EXPECT_EQ(text(path_), "b.jpg\ttwo dogs\n");
}

TEST_F(CaptionFileTest, CsvHasOneHeader) {
  const CaptionFile::Layout layout{.format = RowFormat::csv, .header = "path,caption\n"};
  {
    CaptionFile file(path_, layout, Start::go_on);
    file.write("a.jpg,a cat\n");
  }
  CaptionFile file(path_, layout, Start::go_on);
  file.write("b.jpg,two dogs\n");
  file.finish();
  EXPECT_EQ(text(path_), "path,caption\na.jpg,a cat\nb.jpg,two dogs\n");
}

TEST_F(CaptionFileTest, CocoBecomesAnArray) {
  const CaptionFile::Layout layout{.format = RowFormat::coco};
  {
    CaptionFile file(path_, layout, Start::go_on);
    file.write(coco_row(1, "a \"red\" ball"));
    file.finish();
  }
  EXPECT_EQ(text(path_), "[\n{\"image_id\": 1, \"caption\": \"a \\\"red\\\" ball\"}\n]\n");
  CaptionFile file(path_, layout, Start::keep_rows);
  EXPECT_TRUE(file.has("1"));
  file.write(coco_row(2, "two dogs"));
  file.finish();
  EXPECT_EQ(text(path_),
            "[\n{\"image_id\": 1, \"caption\": \"a \\\"red\\\" ball\"},\n{\"image_id\": 2, \"caption\": \"two "
            "dogs\"}\n]\n");
}

TEST_F(CaptionFileTest, TwoRunsCannotWriteTheSameFile) {
  CaptionFile file(path_, {}, Start::go_on);
  test::expect_error(ErrorCode::io, "another run", [&] { CaptionFile second(path_, {}, Start::go_on); });
}

TEST_F(CaptionFileTest, WhatCannotBeWrittenIsNamedAtOnce) {
  test::expect_error(ErrorCode::io, "is a folder", [&] { CaptionFile file(folder_.path(), {}, Start::go_on); });
  const auto nowhere = folder_.path() / "nowhere/captions.txt";
  test::expect_error(ErrorCode::io, nowhere.string(), [&] { CaptionFile file(nowhere, {}, Start::go_on); });
}

TEST_F(CaptionFileTest, DevicesAreWrittenToDirectly) {
  CaptionFile file("/dev/null", {}, Start::go_on);
  file.write("a.jpg\ta cat\n");
  file.finish();
  EXPECT_FALSE(std::filesystem::exists("/dev/null.part"));
}

TEST_F(CaptionFileTest, GoesOnOnlyWithTheSameSettings) {
  const auto with = [](const char* settings) { return CaptionFile::Layout{.settings = settings}; };
  const auto settings = folder_.path() / "captions.txt.part.settings";
  {
    CaptionFile file(path_, with("steps 5\nseed 0\n"), Start::go_on);
    EXPECT_FALSE(file.resumed());
  }
  EXPECT_FALSE(std::filesystem::exists(settings));  // there was nothing to go on from
  {
    CaptionFile file(path_, with("steps 5\nseed 0\n"), Start::go_on);
    file.write("a.jpg\ta cat\n");
  }
  for (const char* other : {"steps 5\nseed 9\n", "steps 5\n", "steps 5\nseed 0\n--all\n"})
    test::expect_error(ErrorCode::usage, "other settings", [&] { CaptionFile file(path_, with(other), Start::go_on); });
  EXPECT_EQ(text(part_), "a.jpg\ta cat\n");
  {
    CaptionFile file(path_, with("steps 5\nseed 0\n"), Start::go_on);
    EXPECT_TRUE(file.resumed());
  }
  CaptionFile file(path_, with("steps 12\n"), Start::keep_rows);
  EXPECT_TRUE(file.resumed());
  file.finish();
  EXPECT_EQ(text(path_), "a.jpg\ta cat\n");
  EXPECT_FALSE(std::filesystem::exists(settings));
}

}  // namespace
}  // namespace capdiff
