#include "capdiff/formats/caption_results.h"

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using ::testing::ElementsAre;
using ::testing::StartsWith;

TEST(CaptionResults, ReadsAnArray) {
  const auto results = parse_caption_results(
      R"([{"image_id": 7, "caption": "a \"dog\""}, {"image_id": "p/8", "caption": "", "candidates": ["x", "y"]}])",
      "f");
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].id, "7");
  EXPECT_EQ(results[0].caption, "a \"dog\"");
  EXPECT_EQ(results[0].place, "[0]");
  EXPECT_EQ(results[1].id, "p/8");
  EXPECT_EQ(results[1].caption, "");
  EXPECT_THAT(results[1].candidates, ElementsAre("x", "y"));
  EXPECT_TRUE(parse_caption_results(" [ ]\n", "f").empty());
  EXPECT_TRUE(parse_caption_results("", "f").empty());
}

TEST(CaptionResults, ReadsWhatCaptionPrints) {
  const auto results = parse_caption_results(
      "{\"path\":\"in/a.jpg\",\"caption\":\"a dog\",\"candidates\":[{\"text\":\"a dog\",\"score\":-1.5,\"seed\":3},"
      "{\"text\":\"a "
      "cat\",\"score\":-2,\"seed\":4}],\"steps\":5}\r\n\n{\"id\":-3,\"path\":\"b.jpg\",\"caption\":\"x\"}",
      "f");
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].id, "");
  EXPECT_EQ(results[0].file, "in/a.jpg");
  EXPECT_THAT(results[0].candidates, ElementsAre("a dog", "a cat"));
  EXPECT_EQ(results[1].id, "-3");
  EXPECT_EQ(results[1].file, "b.jpg");
  EXPECT_EQ(results[1].place, "line 3");
}

TEST(CaptionResults, NamesFileAndElement) {
  const test::TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "line 1: no picture is named"},
      {R"([{"image_id": 1, "caption": "a"}, 5])", "not an array of objects"},
      {R"([{"image_id": 1.5, "caption": "a"}])", "\"[0].image_id\" is 1.5"},
      {R"([{"image_id": "", "caption": "a"}])", "[0]: \"image_id\" is empty"},
      {R"([{"image_id": 99999999999999999999, "caption": "a"}])", "\"[0].image_id\""},
      {R"([{"image_id": 1}])", "\"[0].caption\" is missing"},
      {R"([{"image_id": 1, "caption": ["a"]}])", "\"[0].caption\" is [\"a\"]"},
      {R"([{"image_id": 1, "caption": "a", "candidates": "b"}])", "\"[0].candidates\" is \"b\""},
      {R"([{"image_id": 1, "caption": "a", "candidates": [{"score": 1}]}])", "\"[0].candidates[0].text\" is missing"},
      {R"([{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}])", "[1]: a second caption of image 1"},
      {R"([{"image_id": 1, "caption": "a"},)", "not valid JSON"},
      {"[{\"image_id\": 1, \"caption\": \"a\"}, {\"image_id\": 2, \"caption\": \"caf\xE9\"}]",
       "not valid JSON (line 1, in [1])"},
      {"{\"id\": 1, \"caption\": \"a\"}\n{\"id\": 1, \"caption\": \"a\"}", "line 2: a second caption of image 1"},
      {"{\"id\": 1, \"caption\": \"a\"}\nnonsense", "line 2: not valid JSON"},
      {"5", "line 1: holds 5; expected a JSON object"},
  };
  for (const auto& [contents, part] : cases) {
    const auto path = folder.write("results.json", contents);
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { read_caption_results(path); }),
                StartsWith(path.string()))
        << contents;
  }
  expect_error(ErrorCode::not_found, "nowhere", [&] { read_caption_results(folder.path() / "nowhere"); });
}

TEST(CaptionResults, IdsAndPathsAreDifferentNames) {
  EXPECT_EQ(
      parse_caption_results("{\"id\": \"a\", \"caption\": \"\"}\n{\"path\": \"a\", \"caption\": \"\"}", "f").size(),
      2u);
}

}  // namespace
}  // namespace capdiff
