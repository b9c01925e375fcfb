#include "capdiff/formats/karpathy.h"

#include "tests/support/expect_error.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using ::testing::ElementsAre;

constexpr const char* kDataset = R"({"images": [
  {"filepath": "val2014", "filename": "b.jpg", "cocoid": 522418, "imgid": 0, "sentids": [1], "split": "test",
   "sentences": [{"raw": "A dog runs.", "tokens": ["a", "dog", "runs"]}, {"tokens": ["two", "dogs"]}]},
  {"filename": "a.jpg", "imgid": 1, "split": "train", "sentences": []},
  {"filename": "c.jpg", "imgid": 2, "split": "restval", "sentences": [{"raw": ""}]}], "dataset": "coco"})";

TEST(Karpathy, ReadsPicturesInFileOrder) {
  const TemporaryFolder folder;
  const CaptionDataset dataset = read_karpathy(folder.write("dataset.json", kDataset));
  EXPECT_EQ(dataset.name, "coco");
  ASSERT_EQ(dataset.images.size(), 3u);
  EXPECT_EQ(dataset.images[0].id, 522418);
  EXPECT_EQ(dataset.images[0].path, "val2014/b.jpg");
  EXPECT_EQ(dataset.images[0].split, "test");
  EXPECT_THAT(dataset.images[0].captions, ElementsAre("A dog runs.", "two dogs"));
  EXPECT_EQ(dataset.images[1].id, 1);
  EXPECT_EQ(dataset.images[1].path, "a.jpg");
  EXPECT_TRUE(dataset.images[1].captions.empty());
}

TEST(Karpathy, SelectsSplits) {
  const TemporaryFolder folder;
  const auto path = folder.write("dataset.json", kDataset);
  const CaptionDataset dataset = read_karpathy(path, {"train", "restval"});
  ASSERT_EQ(dataset.images.size(), 2u);
  EXPECT_EQ(dataset.images[1].path, "c.jpg");
  expect_error(ErrorCode::invalid_input, "no pictures in split \"val\"; it has \"restval\", \"test\", \"train\"", [&] {
    read_karpathy(path, {"train", "val"});
  });
}

TEST(Karpathy, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "\"images\" is missing"},
      {R"({"images": 3})", "not an array of objects"},
      {R"({"images": [{"imgid": 1, "split": "x", "sentences": []}]})", "\"images[0].filename\" is missing"},
      {R"({"images": [{"filename": "a", "split": "x", "sentences": []}]})", "\"images[0].imgid\" is missing"},
      {R"({"images": [{"filename": "a", "imgid": -1, "split": "x", "sentences": []}]})", "\"images[0].imgid\" is -1"},
      {R"({"images": [{"filename": "a", "imgid": 1, "sentences": []}]})", "\"images[0].split\" is missing"},
      {R"({"images": [{"filename": "a", "imgid": 1, "split": "x"}]})", "\"images[0].sentences\" is missing"},
      {R"({"images": [{"filename": "a", "imgid": 1, "split": "x", "sentences": [{}]}]})",
       "\"images[0].sentences[0].tokens\" is missing"},
      {R"({"images": [{"filename": "a", "imgid": 1, "split": "x", "sentences": [{"raw": 5}]}]})",
       "\"images[0].sentences[0].raw\" is 5; expected a string"},
      {R"({"images": [{"filename": "a", "imgid": 1, "split": "x", "sentences": []},
                      {"filename": "b", "imgid": 1, "split": "x", "sentences": []}]})",
       "images[1]: the id 1 is given twice"},
      {R"({"images": [{"filename": "../../etc/passwd", "imgid": 1, "split": "x", "sentences": []}]})", "inside"},
      {R"({"images": [{"filename": "/etc/passwd", "imgid": 1, "split": "x", "sentences": []}]})", "inside"},
      {R"({"images": [{"filepath": "..", "filename": "a", "imgid": 1, "split": "x", "sentences": []}]})", "inside"},
      {R"({"images": [{"filename": "a\u0000b", "imgid": 1, "split": "x", "sentences": []}]})", "inside"},
      {R"({"images": [{"filename": "", "imgid": 1, "split": "x", "sentences": []}]})", "inside"},
  };
  for (const auto& [contents, part] : cases) {
    const auto path = folder.write("dataset.json", contents);
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { read_karpathy(path); }),
                ::testing::StartsWith(path.string()));
  }
}

TEST(Karpathy, TruncatedFilesAreRefused) {
  const TemporaryFolder folder;
  const std::string_view whole(kDataset);
  for (std::size_t length = 0; length < whole.size(); ++length)
    expect_error(ErrorCode::invalid_input, "dataset.json",
                 [&] { read_karpathy(folder.write("dataset.json", whole.substr(0, length))); });
}

TEST(Karpathy, ReadsFlickr8k) {
  CAPDIFF_SHARED_OR_SKIP(path, "data/flickr8k/dataset_flickr8k.json");
  EXPECT_EQ(read_karpathy(path, {"train"}).images.size(), 6000u);
  const CaptionDataset validation = read_karpathy(path, {"val"});
  ASSERT_EQ(validation.images.size(), 1000u);
  for (const CaptionedImage& image : validation.images) EXPECT_EQ(image.captions.size(), 5u);
}

}  // namespace
}  // namespace capdiff
