#include "capdiff/formats/coco.h"

#include <gmock/gmock.h>

#include "capdiff/base/files.h"
#include "capdiff/formats/caption_results.h"
#include "capdiff/formats/dataset.h"
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

constexpr const char* kCaptions = R"({"info": {"year": 2014},
  "images": [{"id": 9, "file_name": "b.jpg", "width": 3}, {"id": 4, "file_name": "a/c.jpg"}, {"id": 5, "file_name": "d.jpg"}],
  "annotations": [{"image_id": 4, "id": 1, "caption": "A dog."}, {"image_id": 9, "id": 2, "caption": "A cat."},
                  {"image_id": 4, "id": 3, "caption": "Two dogs."}]})";

TEST(CocoCaptions, ReadsPicturesInTheOrderOfImages) {
  const TemporaryFolder folder;
  const CaptionDataset dataset = read_dataset(folder.write("captions_val2014.json", kCaptions));
  ASSERT_EQ(dataset.images.size(), 2u);
  EXPECT_EQ(dataset.images[0].id, 9);
  EXPECT_EQ(dataset.images[0].path, "b.jpg");
  EXPECT_EQ(dataset.images[0].split, "val");
  EXPECT_THAT(dataset.images[1].captions, testing::ElementsAre("A dog.", "Two dogs."));
  expect_error(ErrorCode::invalid_input, "it has \"val\"",
               [&] { read_dataset(folder.path() / "captions_val2014.json", {"train"}); });
  EXPECT_EQ(read_dataset(folder.write("captions.json", kCaptions), {"train"}).images.size(), 2u);
  EXPECT_EQ(read_dataset(folder.path() / "captions.json", {"val"}, 1.0).images.size(), 2u);
}

TEST(CocoCaptions, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {R"({"annotations": []})", "\"images\""},
      {R"({"annotations": 3, "images": []})", "\"annotations\""},
      {R"({"images": [{"file_name": "a"}], "annotations": []})", "\"images[0].id\" is missing"},
      {R"({"images": [{"id": 1}], "annotations": []})", "\"images[0].file_name\" is missing"},
      {R"({"images": [{"id": 1, "file_name": "../a"}], "annotations": []})", "inside the image folder"},
      {R"({"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []})", "twice"},
      {R"({"images": [], "annotations": [{"image_id": 1, "caption": "x"}]})", "image 1"},
      {R"({"images": [], "annotations": [{"image_id": 1}]})", "caption\" is missing"},
  };
  for (const auto& [contents, part] : cases) {
    const auto path = folder.write("captions.json", contents);
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { read_coco_captions(path); }),
                testing::StartsWith(path.string()));
  }
}

}  // namespace
}  // namespace capdiff
