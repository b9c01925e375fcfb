#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/backends/torch/torch_backend.h"
#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

using testing::HasSubstr;

class CommandsOnTorch : public testing::Test {
 protected:
  void SetUp() override { write_tiny_model(folder_.path()); }

  std::vector<std::string> caption(const std::string& device) const {
    return {"caption", kScene.string(), "-m", folder_.path().string(), "--dtype", "f32", "--device", device};
  }

  TemporaryFolder folder_;
};

TEST_F(CommandsOnTorch, BothProgramsGiveTheSameCaption) {
  const CommandResult lean = run_capdiff(caption("cpu")), torch = run_program("capdiff-train", caption("cpu"));
  EXPECT_EQ(torch.exit_code, 0) << torch.errors;
  EXPECT_FALSE(lean.output.empty());
  EXPECT_EQ(torch.output, lean.output);
}

TEST_F(CommandsOnTorch, AnotherDeviceIsTheOtherProgramsBusiness) {
  const CommandResult result = run_capdiff(caption("cuda"));
  if (torch::cuda::is_available()) {
    EXPECT_EQ(result.output, run_capdiff(caption("cpu")).output) << result.errors;
    return;
  }
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("capdiff-train: "));
  EXPECT_THAT(result.errors, HasSubstr("no CUDA device"));
}

TEST_F(CommandsOnTorch, SentencesInBracketsReachTheOtherProgram) {
  const CommandResult result =
      run_program("capdiff-train", {"fill", kScene.string(), "[MASK] on the [MASK]", "-m", folder_.path().string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr(" on the "));
}

TEST_F(CommandsOnTorch, WrongUsageIsSaidSo) {
  std::vector<std::string> arguments = caption("cpu");
  arguments.insert(arguments.end(), {"--config", (folder_.path() / "none.toml").string()});
  EXPECT_NE(run_program("capdiff-train", arguments).exit_code, 0);
  EXPECT_EQ(run_program("capdiff-train", {"caption", "--device", "tpu"}).exit_code, 2);
}

}  // namespace
}  // namespace capdiff::test
