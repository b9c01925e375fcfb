#include "capdiff/formats/webdataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/formats/dataset.h"
#include "tests/support/expect_error.h"
#include "tests/support/tar_file.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

using ::testing::ElementsAre;

TEST(WebDataset, PairsMembersByTheirKey) {
  const TemporaryFolder folder;
  const auto shard = folder.write("shard.tar", tar_file({{"x/1.json", R"({"caption": "a dog", "width": 3})"},
                                                         {"x/1.jpg", "photo one"},
                                                         {"x/2.JPEG", "photo two"},
                                                         {"x/2.txt", "a cat\n\n  two cats \r\n"},
                                                         {"x/2.seg.png", "something else"},
                                                         {"x/3.png", "no caption"},
                                                         {"x/4.txt", "no photo"},
                                                         {"x/5.json", R"({"caption": ["one", "two"]})"},
                                                         {"x/5.jpg", "photo five"},
                                                         {"x/5.txt", "not this"}}));
  const CaptionDataset dataset = read_webdataset(shard);
  ASSERT_EQ(dataset.images.size(), 3u);
  EXPECT_EQ(dataset.folder, shard);
  EXPECT_EQ(dataset.images[0].path, "x/1.jpg");
  EXPECT_EQ(dataset.images[0].id, 1);
  EXPECT_EQ(dataset.images[0].archive, shard);
  EXPECT_EQ(dataset.images[0].offset, 3 * 512u);
  EXPECT_EQ(dataset.images[0].size, 9u);
  EXPECT_EQ(dataset.images[0].split, "train");
  EXPECT_THAT(dataset.images[0].captions, ElementsAre("a dog"));
  EXPECT_THAT(dataset.images[1].captions, ElementsAre("a cat", "two cats"));
  EXPECT_THAT(dataset.images[2].captions, ElementsAre("one", "two"));
}

TEST(WebDataset, ListsPicturesWithOrWithoutCaptions) {
  const TemporaryFolder folder;
  const auto shard = folder.write("shard.tar", tar_file({{"./x/1.jpg", "photo one"},
                                                         {"./x/1.txt", "a dog"},
                                                         {"./x/1.seg.png", "something else"},
                                                         {"./x/2.WEBP", "photo two"}}));
  const std::vector<TarEntry> pictures = shard_pictures(shard).pictures;
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pictures[0].name, "x/1.jpg");
  EXPECT_EQ(pictures[0].size, 9u);
  EXPECT_EQ(pictures[1].name, "x/2.WEBP");
}

TEST(WebDataset, PassesNothingOverInSilence) {
  const TemporaryFolder folder;
  const std::string file = tar_file({{"my.photo.2024.jpg", "one"},
                                     {"1.seg.png", "of 1"},
                                     {"1.jpg", "two"},
                                     {"2.HEIC", "of a phone"},
                                     {"caf\xe9.jpg", "three"},
                                     {"cut.jpg", std::string(2000, 'x')}});
  const auto shard = folder.write("SHARD.TAR", file.substr(0, file.size() - 3000));
  const ShardPictures found = shard_pictures(shard);
  std::vector<std::string> names;
  for (const TarEntry& picture : found.pictures) names.push_back(picture.name);
  EXPECT_THAT(names, ElementsAre("my.photo.2024.jpg", "1.jpg", "caf\xe9.jpg"));
  EXPECT_EQ(found.passed_over, (std::map<std::string, std::size_t>{{".seg.png", 1}, {".heic", 1}}));
  EXPECT_THAT(found.damage, ::testing::HasSubstr("do not fit"));
  EXPECT_EQ(tar_shards(folder.path()).size(), 1u);
}

TEST(WebDataset, ReadsTheShardsOfAFolderWithTheirSplits) {
  const TemporaryFolder folder;
  const auto shard = [](const std::string& key) { return tar_file({{key + ".jpg", "p"}, {key + ".txt", key}}); };
  folder.write("train-1.tar", shard("b"));
  folder.write("train-0.tar", shard("a"));
  folder.write("val-0.tar", shard("c"));
  folder.write("readme.txt", "");
  const CaptionDataset all = read_dataset(folder.path());
  ASSERT_EQ(all.images.size(), 3u);
  EXPECT_EQ(all.images[0].path, "a.jpg");
  EXPECT_EQ(all.images[2].split, "val");
  EXPECT_EQ(read_dataset(folder.path(), {"val"}).images.size(), 1u);
  expect_error(ErrorCode::invalid_input, "no pictures in split \"test\"",
               [&] { read_dataset(folder.path(), {"test"}); });
}

TEST(WebDataset, KeepsAShareOfTheKeysForValidation) {
  const TemporaryFolder folder;
  std::vector<std::pair<std::string, std::string>> members;
  for (int i = 0; i < 200; ++i) {
    members.emplace_back(std::to_string(i) + ".jpg", "p");
    members.emplace_back(std::to_string(i) + ".txt", "c");
  }
  const auto shard = folder.write("data.tar", tar_file(members));
  const std::size_t held_out = read_dataset(shard, {"val"}, 0.25).images.size();
  EXPECT_GT(held_out, 30u);
  EXPECT_LT(held_out, 70u);
  EXPECT_EQ(read_dataset(shard, {"train"}, 0.25).images.size(), 200 - held_out);
  for (auto& [name, data] : members) name.insert(0, "./");
  const CaptionDataset dotted = read_dataset(folder.write("dotted.tar", tar_file(members)), {"val"}, 0.25);
  ASSERT_EQ(dotted.images.size(), held_out);
  EXPECT_EQ(dotted.images[0].path, read_dataset(shard, {"val"}, 0.25).images[0].path);
}

TEST(WebDataset, NamesTheShardAndTheMember) {
  const TemporaryFolder folder;
  const auto refuse = [&](const char* part, const std::string& file) {
    const auto path = folder.write("shard.tar", file);
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { read_webdataset(path); }),
                ::testing::StartsWith(path.string()));
  };
  refuse("truncated", "");
  refuse("not UTF-8", tar_file({{"caf\xe9.jpg", "p"}, {"caf\xe9.txt", "c"}}));
  refuse("1.json", tar_file({{"1.jpg", "p"}, {"1.json", "{\"caption\": "}}));
  refuse("\"caption\" is 7", tar_file({{"1.jpg", "p"}, {"1.json", "{\"caption\": 7}"}}));
  refuse("1.txt", tar_file({{"1.jpg", "p"}, {"1.txt", "caf\xe9"}}));
  refuse("at most", tar_file({{"1.jpg", "p"}, {"1.txt", std::string((1 << 20) + 1, 'a')}}));
  refuse("same part", tar_file({{"1.jpg", "p"}, {"1.png", "q"}, {"1.txt", "a"}}));
  refuse("no picture with a caption", tar_file({{"1.jpg", "p"}, {"2.txt", "a"}}));
}

}  // namespace
}  // namespace capdiff::test
