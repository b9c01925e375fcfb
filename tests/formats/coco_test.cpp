#include "capdiff/formats/coco.h"

#include "capdiff/base/files.h"
#include "capdiff/formats/caption_results.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;

TEST(CocoResults, RoundTrip) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "results.json";
  const std::vector<CocoResult> results = {{522418, "a \"dog\"\nand caf\u00e9"}, {7, ""}};
  write_coco_results(path, results);
  EXPECT_EQ(read_text(path, 1000),
            "[\n{\"image_id\": 522418, \"caption\": \"a \\\"dog\\\"\\nand caf\u00e9\"},\n"
            "{\"image_id\": 7, \"caption\": \"\"}\n]\n");
  const auto again = read_caption_results(path);
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].id, "522418");
  EXPECT_EQ(again[0].caption, results[0].caption);
  write_coco_results(path, {});
  EXPECT_TRUE(read_caption_results(path).empty());
}

TEST(CocoResults, WriterRefusesBrokenTextAndLeavesNothing) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "results.json";
  const std::vector<CocoResult> results = {{1, "caf\xe9"}};
  expect_error(ErrorCode::invalid_input, "image 1", [&] { write_coco_results(path, results); });
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace capdiff
