#include "capdiff/formats/model_folder.h"

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;

class ModelFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("config.json", R"({"model_type": "ladic"})");
    write_safetensors(folder_.path() / "model.safetensors",
                      {{"w", HostTensor::of({2}, {1, 2})}, {"nan", HostTensor::of({1}, {std::nanf("")})}});
  }

  const test::TemporaryFolder folder_;
};

TEST_F(ModelFolderTest, OpensWhatIsThere) {
  const ModelFolder bare = ModelFolder::open(folder_.path());
  EXPECT_EQ(bare.config().get_string("model_type"), "ladic");
  EXPECT_FALSE(bare.statistics() || bare.preprocessor_config() || bare.scheduler_config() || bare.generation_config());
  EXPECT_FALSE(bare.find("vocab.txt"));

  write_safetensors(folder_.path() / "statistics.safetensors", {{"mean", HostTensor::of({1}, {0.5f})}});
  folder_.write("preprocessor_config.json", R"({"size": 224})");
  folder_.write("scheduler_config.json", R"({"schedule": "cosine"})");
  folder_.write("generation_config.json", R"({"steps": 30})");
  folder_.write("vocab.txt", "[PAD]\n");
  const ModelFolder full = ModelFolder::open(folder_.path());
  EXPECT_TRUE(full.statistics().value().contains("mean"));
  EXPECT_EQ(full.preprocessor_config().value().get_int("size", 1, 1024), 224);
  EXPECT_EQ(full.scheduler_config().value().get_string("schedule"), "cosine");
  EXPECT_EQ(full.generation_config().value().get_int("steps", 1, 1000), 30);
  EXPECT_EQ(full.file("vocab.txt"), folder_.path() / "vocab.txt");
}

TEST_F(ModelFolderTest, ChecksWeights) {
  const ModelFolder model = ModelFolder::open(folder_.path());
  EXPECT_THAT(model.weight("w", {2}).values<float>(), ::testing::ElementsAre(1, 2));
  expect_error(ErrorCode::invalid_model, "model.safetensors: tensor \"w\" has shape [2]; expected [3]",
               [&] { model.weight("w", {3}); });
  expect_error(ErrorCode::invalid_model, "model.safetensors: element 0 of tensor \"nan\"",
               [&] { model.weight("nan", {1}); });
  expect_error(ErrorCode::not_found, "no tensor \"v\"", [&] { model.weight("v", {1}); });
}

TEST_F(ModelFolderTest, NamesMissingFiles) {
  const auto nowhere = folder_.path() / "nowhere";
  expect_error(ErrorCode::not_found, nowhere.string(), [&] { ModelFolder::open(nowhere); });
  expect_error(ErrorCode::invalid_model, "not a folder", [&] { ModelFolder::open(folder_.path() / "config.json"); });
  expect_error(ErrorCode::not_found, "has no vocab.txt", [&] { ModelFolder::open(folder_.path()).file("vocab.txt"); });
  for (const char* const name : {"model.safetensors", "config.json"}) {
    std::filesystem::remove(folder_.path() / name);
    expect_error(ErrorCode::not_found, std::string("has no ") + name, [&] { ModelFolder::open(folder_.path()); });
  }
}

TEST_F(ModelFolderTest, NamesBrokenFiles) {
  for (const char* const name : {"config.json", "model.safetensors", "statistics.safetensors",
                                 "preprocessor_config.json", "scheduler_config.json", "generation_config.json"}) {
    const auto path = folder_.path() / name;
    const auto aside = folder_.path() / "aside";
    const bool was_there = std::filesystem::exists(path);
    if (was_there) std::filesystem::rename(path, aside);
    for (const char* const contents : {"", "{\"a\":", "[]"}) {
      folder_.write(name, contents);
      expect_error(ErrorCode::invalid_model, path.string(), [&] { ModelFolder::open(folder_.path()); });
    }
    std::filesystem::remove(path);
    if (was_there) std::filesystem::rename(aside, path);
  }
}

TEST_F(ModelFolderTest, FindsNothingOutsideTheFolder) {
  const ModelFolder model = ModelFolder::open(folder_.path());
  for (const char* const name : {"", ".", "..", "../config.json", "/etc/passwd", "a/b"})
    expect_error(ErrorCode::invalid_model, "not the name of a file", [&] { model.find(name); });
}

TEST_F(ModelFolderTest, IsKnownByWhatCaptionsDependOn) {
  const std::uint64_t before = folder_fingerprint(folder_.path());
  folder_.write("README.md", "a model");
  folder_.write(".hidden", "");
  EXPECT_EQ(folder_fingerprint(folder_.path()), before);
  folder_.write("vocab.txt", "[PAD]\n");
  const std::uint64_t with_vocabulary = folder_fingerprint(folder_.path());
  EXPECT_NE(with_vocabulary, before);
  folder_.write("vocab.txt", "[UNK]\n");
  EXPECT_NE(folder_fingerprint(folder_.path()), with_vocabulary);
  expect_error(ErrorCode::io, "nowhere", [&] { folder_fingerprint(folder_.path() / "nowhere"); });
}

}  // namespace
}  // namespace capdiff
