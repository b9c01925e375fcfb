#include "capdiff/formats/caption_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/base/error.h"
#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

WholeRows read(std::string_view text, RowFormat format, const std::string& header = "", bool several = false) {
  return read_whole_rows(text, format, header, several, "captions");
}

TEST(CaptionRows, PathsOfAnyBytesComeBack) {
  for (const std::string path : {"a b/ä.jpg", "caf\xe9.jpg", "100%\xff\xfe~.png", "\xed\xa0\x80/x.jpg"}) {
    nlohmann::ordered_json row;
    name_picture(row, path);
    const nlohmann::json again = nlohmann::json::parse(row.dump());
    EXPECT_EQ(picture_of(again, "row"), path);
  }
  nlohmann::ordered_json row;
  name_picture(row, "caf\xe9.jpg");
  EXPECT_EQ(row.dump(), "{\"path\":\"caf\xef\xbf\xbd.jpg\",\"path_bytes\":\"caf%E9.jpg\"}");
  row = {};
  name_picture(row, "ä.jpg");
  EXPECT_FALSE(row.contains("path_bytes"));
  EXPECT_THROW(picture_of(nlohmann::json{{"path_bytes", "a%4"}}, "row"), Error);
  EXPECT_THROW(picture_of(nlohmann::json{{"caption", "a"}}, "row"), Error);
}

TEST(CaptionRows, CsvQuotesWhatNeedsIt) {
  const std::vector<std::string> fields{"a,b.jpg", "a \"red\" ball", "", "two\nlines"};
  EXPECT_EQ(csv_row(fields), "\"a,b.jpg\",\"a \"\"red\"\" ball\",,\"two\nlines\"\n");
}

TEST(CaptionRows, CocoIdsStandAtTheEndOfNames) {
  EXPECT_EQ(coco_image_id("val/COCO_val2014_000000000042.jpg"), 42);
  EXPECT_EQ(coco_image_id("7.png"), 7);
  EXPECT_EQ(coco_image_id("img-12.png"), 12);
  for (const char* name : {"cat.jpg", "693b08cb01.jpg", "a_.jpg", "99999999999999999999999.jpg"})
    EXPECT_EQ(coco_image_id(name), std::nullopt) << name;
}

TEST(CaptionRows, AnUnfinishedRowIsLeftOut) {
  const WholeRows text = read("a.jpg\ta cat\nb.jpg\ttwo do", RowFormat::text);
  EXPECT_THAT(text.keys, ElementsAre("a.jpg"));
  EXPECT_EQ(text.bytes, 12u);
  const WholeRows json = read("{\"path\": \"a.jpg\"}\n{\"path\": \"b.j", RowFormat::jsonl);
  EXPECT_THAT(json.keys, ElementsAre("a.jpg"));
  const WholeRows coco = read("{\"image_id\": 3, \"caption\": \"a\"}\n{\"ima", RowFormat::coco);
  EXPECT_THAT(coco.keys, ElementsAre("3"));
  EXPECT_THAT(read("", RowFormat::jsonl).keys, IsEmpty());
}

TEST(CaptionRows, CsvMayHaveLineBreaksInRows) {
  const std::string header = "path,caption\n";
  const WholeRows rows = read(header + "\"a\n\"\"b\"\".jpg\",x\nc.jpg,\"half\n", RowFormat::csv, header);
  EXPECT_THAT(rows.keys, ElementsAre("a\n\"b\".jpg"));
  EXPECT_EQ(read("path,cap", RowFormat::csv, header).bytes, 0u);
  test::expect_error(ErrorCode::invalid_input, "path,caption", [&] { read("path,score\n", RowFormat::csv, header); });
}

TEST(CaptionRows, OfSeveralRowsThoseOfTheLastPictureAreLeftOut) {
  const WholeRows rows = read("a.jpg\tx\t1\na.jpg\ty\t0\nb.jpg\tz\t1\n", RowFormat::text, "", true);
  EXPECT_THAT(rows.keys, ElementsAre("a.jpg"));
  EXPECT_EQ(rows.bytes, 20u);
}

TEST(CaptionRows, ForeignTextIsRefused) {
  test::expect_error(ErrorCode::invalid_input, "captions, line 2",
                     [] { read("a.jpg\ta cat\na letter\n", RowFormat::text); });
  test::expect_error(ErrorCode::invalid_input, "captions, line 1", [] { read("[1, 2]\n", RowFormat::jsonl); });
}

TEST(CaptionRows, FailuresAreLinesOfUtf8) {
  EXPECT_EQ(failure_row(0, "a b/\xc3\xa4.jpg", "broken"), "1970-01-01T00:00:00Z\ta b/\xc3\xa4.jpg\tbroken\n");
  EXPECT_EQ(failure_row(61, "a\n\t\x1b%\x7f.jpg", "two\nlines"),
            "1970-01-01T00:01:01Z\ta%0A%09%1B%25%7F.jpg\ttwo lines\n");
  EXPECT_EQ(failure_row(0, "caf\xe9.jpg", "caf\xe9\x1b"),
            "1970-01-01T00:00:00Z\tcaf%E9.jpg\tcaf\xef\xbf\xbd\xef\xbf\xbd\n");
}

}  // namespace
}  // namespace capdiff
