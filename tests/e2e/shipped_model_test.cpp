#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "capdiff/base/hash.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "tests/support/command.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(CAPDIFF_SOURCE_DIR) / "models" / "default";
const fs::path kClip = fs::path(CAPDIFF_SOURCE_DIR) / "models" / "clip";

TEST(ShippedModel, IsSmall) {
  EXPECT_LE(fs::file_size(kModel / "model.safetensors"), 24'000'000u);
}

TEST(ShippedModel, IsFoundFromAnyFolder) {
  ::unsetenv("CAPDIFF_MODEL");
  const fs::path here = fs::current_path();
  fs::current_path("/");
  const CommandResult result = run_capdiff({"caption", kScene.string()});
  fs::current_path(here);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_GT(result.output.size(), 5u);
}

TEST(ShippedClip, IsSmallAndItsCardNamesItsWeights) {
  std::uintmax_t size = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(kClip)) size += entry.file_size();
  EXPECT_LE(size, 14'000'000u);
  const std::string weights = read_text_bytes(kClip / "model.safetensors");
  EXPECT_NE(read_text_bytes(kClip / "README.md").find(sha256_hex(std::as_bytes(std::span(weights)))),
            std::string::npos);
}

TEST(ShippedClip, ChoosesWithoutBeingNamed) {
  ::unsetenv("CAPDIFF_CLIP");
  const CommandResult result = run_capdiff(
      {"caption", kScene.string(), "-m", kModel.string(), "--steps", "3", "--candidates", "3", "--select", "clip"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_GT(result.output.size(), 5u);
}

TEST(ShippedModel, CaptionsAreTheSameAloneAndSeventhOfSevenAndOnAnyNumberOfThreads) {
  Image scene = read_image(kScene);
  std::vector<Image> seven;
  for (int i = 0; i < 6; ++i) {
    Image other = scene;
    for (std::size_t k = 0; k < other.rgb.size(); k += 7)
      other.rgb[k] = static_cast<std::uint8_t>(other.rgb[k] + 20 * i);
    seven.push_back(std::move(other));
  }
  seven.push_back(scene);
  const GenerationOptions generation{.steps = 5};
  const auto captions = [&](int threads, std::span<const Image> images) {
    const auto backend = make_onednn_backend({.compute = DType::f32, .threads = threads, .deterministic = true});
    return load_captioner(ModelFolder::open(kModel), *backend)->caption(images, generation);
  };
  const Caption alone = captions(1, std::span(&scene, 1)).front();
  for (const int threads : {1, 2}) {
    const Caption seventh = captions(threads, seven).back();
    EXPECT_EQ(seventh.text, alone.text);
    EXPECT_EQ(seventh.candidates[0].score, alone.candidates[0].score);
  }
}

}  // namespace
}  // namespace capdiff::test
