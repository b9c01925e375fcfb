#include "capdiff/formats/coco.h"

#include "capdiff/base/files.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using ::testing::ElementsAre;

TEST(CocoResults, RoundTrip) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "results.json";
  const std::vector<CocoResult> results = {{522418, "a \"dog\"\nand caf\u00e9"}, {7, ""}};
  write_coco_results(path, results);
  EXPECT_EQ(read_text(path, 1000),
            "[\n{\"image_id\": 522418, \"caption\": \"a \\\"dog\\\"\\nand caf\u00e9\"},\n"
            "{\"image_id\": 7, \"caption\": \"\"}\n]\n");
  const auto again = read_coco_results(path);
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].image_id, 522418);
  EXPECT_EQ(again[0].caption, results[0].caption);
  write_coco_results(path, {});
  EXPECT_TRUE(read_coco_results(path).empty());
}

TEST(CocoResults, WriterRefusesBrokenTextAndLeavesNothing) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "results.json";
  const std::vector<CocoResult> results = {{1, "caf\xe9"}};
  expect_error(ErrorCode::invalid_input, "image 1", [&] { write_coco_results(path, results); });
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(CocoResults, ReaderNamesTheElement) {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "expected an array"},
      {R"([{"image_id": 1, "caption": "a"}, 5])", "\"[1]\" is 5; expected an object"},
      {R"([{"image_id": "1", "caption": "a"}])", "\"[0].image_id\" is \"1\""},
      {R"([{"image_id": 1}])", "\"[0].caption\" is missing"},
      {R"([{"image_id": 1, "caption": "a"}, {"image_id": 1, "caption": "b"}])", "[1]: a second caption of image 1"},
      {R"([{"image_id": 1, "caption": "a"},)", "not valid JSON"},
  };
  for (const auto& [contents, part] : cases) {
    const auto path = folder.write("results.json", contents);
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { read_coco_results(path); }),
                ::testing::StartsWith(path.string()));
  }
}

TEST(CocoAnnotations, GroupsCaptionsByImage) {
  const TemporaryFolder folder;
  const auto captions = read_coco_annotations(
      folder.write("captions.json", R"({"images": [{"id": 2}], "annotations": [{"image_id": 2, "id": 1, "caption": "a"},
                   {"image_id": 1, "id": 2, "caption": "b"}, {"image_id": 2, "id": 3, "caption": "c"}]})"));
  ASSERT_EQ(captions.size(), 2u);
  EXPECT_THAT(captions.at(2), ElementsAre("a", "c"));
  EXPECT_THAT(captions.at(1), ElementsAre("b"));
  expect_error(ErrorCode::invalid_input, "\"annotations\" is missing",
               [&] { read_coco_annotations(folder.write("captions.json", R"({"images": []})")); });
}

}  // namespace
}  // namespace capdiff
