#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "capdiff/formats/safetensors.h"
#include "capdiff/models/clip_encoder.h"
#include "tests/support/clip_reference.h"
#include "tests/support/command.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/torch_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kGolden = fs::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny";

CommandResult convert(const fs::path& golden, const fs::path& weights, const fs::path& out,
                      const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"convert",
                                     "--from",
                                     "ladic",
                                     "--weights",
                                     weights.string(),
                                     "--mean",
                                     (golden / "mean_emb_split.pickle").string(),
                                     "--std",
                                     (golden / "std_emb_split.pickle").string(),
                                     "--vocab",
                                     (golden / "vocab.txt").string(),
                                     "--config",
                                     (golden / "reference.json").string(),
                                     "-o",
                                     out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_capdiff(arguments);
}

/// Converts a checkpoint and captions the golden folder's picture with what comes out.
void expect_captions(const fs::path& golden, const fs::path& weights) {
  for (const char* profile : {"paper", "released"}) {
    const TemporaryFolder folder;
    const CommandResult converted = convert(golden, weights, folder.path() / "model", {"--profile", profile});
    ASSERT_EQ(converted.exit_code, 0) << converted.errors;
    EXPECT_EQ(converted.output, "");
    const CommandResult captioned =
        run_capdiff({"caption", "-m", (folder.path() / "model").string(), (golden / "image.png").string()});
    EXPECT_EQ(captioned.exit_code, 0) << captioned.errors;
    EXPECT_GT(captioned.output.size(), 1u);
    if (std::string_view(profile) == "released") EXPECT_TRUE(captioned.output.ends_with(".\n")) << captioned.output;
  }
}

/// The tensors that `info` lists.
nlohmann::json tensors_of(const fs::path& path) {
  const CommandResult result = run_capdiff({"info", path.string(), "--hash", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return nlohmann::json::parse(result.output).at("tensors");
}

TEST(Convert, MakesAModelFolderThatCaptions) {
  const TemporaryFolder folder;
  const SafetensorsFile file = SafetensorsFile::open(kGolden / "model.safetensors");
  std::map<std::string, HostTensor> tensors;
  for (const std::string& name : file.names()) tensors.emplace(name, file.tensor(name));
  expect_captions(kGolden, folder.write("pytorch_model.bin", torch_zip(tensors)));
}

TEST(Convert, ReadsTheFilesThatTorchWrote) {
  CAPDIFF_SHARED_OR_SKIP(golden, "goldens/ladic_tiny");
  expect_captions(golden, golden / "pytorch_model.bin");
  EXPECT_EQ(tensors_of(golden / "pytorch_model.bin"), tensors_of(golden / "model.safetensors"));
}

TEST(Convert, MakesAFolderOfClip) {
  const TemporaryFolder folder;
  const ClipReference clip;
  const fs::path script = folder.write("ViT.pt", torch_script(clip.state_dict()));
  const std::vector<std::string> arguments{"convert",
                                           "--from",
                                           "clip",
                                           "--weights",
                                           script.string(),
                                           "--vocab",
                                           folder.write("merges.txt", tiny_merges()).string(),
                                           "--image-heads",
                                           "2",
                                           "--text-heads",
                                           "2",
                                           "-o",
                                           (folder.path() / "clip").string()};
  const CommandResult converted = run_capdiff(arguments);
  EXPECT_EQ(converted.exit_code, 0) << converted.errors;
  EXPECT_EQ(tensors_of(folder.path() / "clip"), tensors_of(script));
  const auto backend = make_onednn_backend({});
  EXPECT_NO_THROW(ClipEncoder(ModelFolder::open(folder.path() / "clip"), *backend));
}

TEST(Convert, KeepsEveryBitOfClip) {
  CAPDIFF_SHARED_OR_SKIP(golden, "goldens/clip_tiny");
  const TemporaryFolder folder;
  const CommandResult converted =
      run_capdiff({"convert", "--from", "clip", "--weights", (golden / "state_dict.pt").string(), "--config",
                   (golden / "golden.json").string(), "-o", (folder.path() / "clip").string()});
  EXPECT_EQ(converted.exit_code, 0) << converted.errors;
  EXPECT_EQ(tensors_of(folder.path() / "clip"), tensors_of(golden / "state_dict.safetensors"));
}

TEST(Convert, InfoListsTorchFiles) {
  const nlohmann::json tensors = tensors_of(kGolden / "mean_emb_split.pickle");
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].at("name"), "");
  EXPECT_EQ(tensors[0].at("dtype"), "F32");
  EXPECT_EQ(tensors[0].at("shape"), nlohmann::json{32});
}

TEST(Convert, ExplainsWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "model").string(), weights = (kGolden / "model.safetensors").string();
  const CommandResult without = run_capdiff({"convert", "--from", "ladic", "--weights", weights, "-o", out});
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_THAT(without.errors, HasSubstr("--mean"));
  EXPECT_EQ(run_capdiff({"convert", "--from", "gpt", "--weights", weights, "-o", out}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"convert", "--from", "bert", "-o", out}).exit_code, 2);
  const CommandResult wrong = convert(kGolden, kGolden / "mean_emb_split.pickle", out);
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_EQ(wrong.output, "");
  EXPECT_THAT(wrong.errors, HasSubstr("mean_emb_split.pickle"));
  EXPECT_THAT(wrong.errors, HasSubstr("visual_encoder.cls_token"));
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace capdiff::test
