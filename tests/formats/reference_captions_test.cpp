#include "capdiff/formats/reference_captions.h"

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kCoco =
    R"({"info": {}, "images": [{"id": 1, "file_name": "one.jpg"}, {"id": 3, "file_name": "x"}],
  "annotations": [{"image_id": 2, "id": 1, "caption": "a"}, {"image_id": 1, "id": 2, "caption": "b"},
                  {"image_id": 2, "id": 3, "caption": ""}], "type": "captions"})";
constexpr const char* kKarpathy = R"({"dataset": "tiny", "images": [
  {"imgid": 0, "filename": "a.jpg", "filepath": "val", "split": "val", "sentences": [{"raw": "A dog."}, {"raw": "B"}]},
  {"imgid": 1, "cocoid": 9, "filename": "b.jpg", "split": "test", "sentences": [{"tokens": ["a", "cat"]}]}]})";

TEST(ReferenceCaptions, ReadsCocoAnnotations) {
  const auto images = parse_reference_captions(kCoco, "f");
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].id, "2");  // the order of the first annotation
  EXPECT_EQ(images[0].file, "");
  EXPECT_THAT(images[0].captions, ElementsAre("a", ""));
  EXPECT_EQ(images[1].id, "1");
  EXPECT_EQ(images[1].file, "one.jpg");
}

TEST(ReferenceCaptions, ReadsKarpathySplits) {
  const TemporaryFolder folder;
  const auto path = folder.write("dataset.json", kKarpathy);
  const auto all = read_reference_captions(path);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].id, "0");
  EXPECT_EQ(all[0].file, "val/a.jpg");
  EXPECT_THAT(all[0].captions, ElementsAre("A dog.", "B"));
  EXPECT_EQ(all[1].id, "9");
  EXPECT_EQ(read_reference_captions(path, "test").size(), 1u);
  expect_error(ErrorCode::invalid_input, "train", [&] { read_reference_captions(path, "train"); });
  expect_error(ErrorCode::invalid_input, "no split \"val\"",
               [&] { read_reference_captions(folder.write("coco.json", kCoco), "val"); });
}

TEST(ReferenceCaptions, ReadsLinesAndArrays) {
  const char* lines =
      "{\"image_id\": \"x\", \"captions\": [\"a\", \"b\"]}\n{\"path\": \"p/y.jpg\", \"references\": [\"c\"]}\n"
      "{\"split\": \"val\", \"image_id\": \"x\", \"caption\": \"d\"}\n";
  for (const std::string& text :
       {std::string(lines),
        std::string(
            "[{\"image_id\": \"x\", \"captions\": [\"a\", \"b\"]}, {\"path\": \"p/y.jpg\", \"references\": [\"c\"]},"
            "{\"image_id\": \"x\", \"caption\": \"d\"}]")}) {
    const auto images = parse_reference_captions(text, "f");
    ASSERT_EQ(images.size(), 2u);
    EXPECT_EQ(images[0].id, "x");
    EXPECT_THAT(images[0].captions, ElementsAre("a", "b", "d"));
    EXPECT_EQ(images[1].id, "p/y.jpg");
    EXPECT_EQ(images[1].file, "p/y.jpg");
  }
}

TEST(ReferenceCaptions, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"annotations": 5})", "\"annotations\" is not an array"},
      {R"({"annotations": [{"image_id": 1, "caption": "a"}, {"id": 2, "caption": "b"}]})", "annotations[1].image_id"},
      {R"({"annotations": [{"image_id": 1, "caption": 5}]})", "\"annotations[0].caption\" is 5"},
      {R"({"annotations": [{"image_id": 1, "caption": "a"}]} x)", "not valid JSON"},
      {R"({"annotations": [{"image_id": 1, "caption": "a"}], "images": [{"file_name": "a"}]})", "images[0]"},
      {"{\"image_id\": 1, \"captions\": []}", "image 1 has no reference captions"},
      {"{\"image_id\": 1, \"captions\": \"a\"}", "line 1: \"captions\" is \"a\""},
      {"{\"image_id\": 1, \"captions\": [\"a\", 7]}", "\"captions[1]\" is 7"},
      {"{\"image_id\": 1}", "\"caption\" is missing"},
      {R"({"poems": []})", "neither COCO annotations"},
      {R"({"images": []})", "neither COCO annotations"},
      {"{\"words\": \"a\"}\n{\"words\": \"b\"}", "line 1: no picture is named"},
      {"{", "not valid JSON"},
      {"nonsense", "not valid JSON"},
  };
  for (const auto& [contents, part] : cases) {
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { parse_reference_captions(contents, "the file"); }),
                HasSubstr("the file"))
        << contents;
  }
  EXPECT_TRUE(parse_reference_captions("", "f").empty());
  expect_error(ErrorCode::unsupported, "read from files", [] { parse_reference_captions(kKarpathy, "f"); });
}

}  // namespace
}  // namespace capdiff
