#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <regex>
#include <set>
#include <thread>

#include "capdiff/training/checkpoint.h"
#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// `capdiff launch` of the toy recipe.
class Launch : public testing::Test {
 protected:
  Launch() {
    write_toy_data(folder_.path());
    folder_.write("toy.toml", kToyRecipe);
  }

  std::vector<std::string> arguments(std::vector<std::string> command,
                                     const std::vector<std::string>& more = {}) const {
    command.insert(command.end(), {(folder_.path() / "toy.toml").string(), "--set",
                                   "data.root=" + folder_.path().string(), "--set", "output=" + run_.string()});
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }

  /// Starts the program without waiting for it; its standard error goes to a file.
  pid_t start(std::vector<std::string> command) const {
    command.insert(command.begin(), std::string(CAPDIFF_BINARY_DIR) + "/bin/capdiff");
    std::vector<char*> pointers;
    for (std::string& argument : command) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t process = ::fork();
    if (process != 0) return process;
    ::dup2(::open(errors_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), STDERR_FILENO);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }

  /// Its exit code; it is killed after a minute.
  static int wait_for(pid_t process) {
    int status = 0;
    for (int i = 0; i < 6000; ++i) {
      if (::waitpid(process, &status, WNOHANG) == process)
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::kill(process, SIGKILL);
    ::waitpid(process, &status, 0);
    return -1;
  }

  /// The process of a rank once the language model has its first checkpoint; 0 where that takes a minute.
  pid_t training_process(int rank) const {
    const std::regex line("rank " + std::to_string(rank) + " is process ([0-9]+)");
    for (int i = 0; i < 6000; ++i) {
      std::smatch match;
      const std::string text = read_text_bytes(errors_);
      if (latest_checkpoint(run_ / "checkpoints/language_model") && std::regex_search(text, match, line))
        return static_cast<pid_t>(std::stol(match[1]));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return 0;
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_.path() / "run";
  fs::path errors_ = folder_.path() / "errors.txt";
};

const std::vector<std::string> kEndless{
    "--set", "language_model.steps=1000000", "--set", "language_model.checkpoint_every=2", "--keep", "3"};

TEST_F(Launch, TwoProcessesTrainEveryStageOfARecipe) {
  const CommandResult result = run_capdiff(arguments({"launch", "--nproc", "2"}));
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, "");
  EXPECT_TRUE(fs::exists(run_ / "model" / "model.safetensors"));
  std::ifstream metrics(run_ / "metrics.jsonl");
  std::set<std::string> stages;
  for (std::string line; std::getline(metrics, line);) {
    const nlohmann::json written = nlohmann::json::parse(line);
    if (written.contains("losses"))
      EXPECT_TRUE(stages.insert(written.at("stage")).second) << "two ranks have written: " << line;
  }
  EXPECT_THAT(stages, testing::ElementsAre("image_encoder", "ladic", "language_model"));
}

TEST_F(Launch, NamesTheRankThatWasKilledAndGoesOnLater) {
  const pid_t launcher = start(arguments({"launch", "--nproc", "2"}, kEndless));
  const pid_t second = training_process(1);
  ASSERT_NE(second, 0) << read_text_bytes(errors_);
  ::kill(second, SIGKILL);
  EXPECT_EQ(wait_for(launcher), 128 + SIGKILL);
  EXPECT_THAT(read_text_bytes(errors_),
              HasSubstr("rank 1 (process " + std::to_string(second) + ") was killed by signal 9"));

  const auto checkpoint = latest_checkpoint(run_ / "checkpoints/language_model");
  ASSERT_TRUE(checkpoint);
  const std::string steps = std::to_string(checkpoint->state.step + 2);
  const CommandResult resumed = run_capdiff(
      arguments({"train"}, {"--stage", "language_model", "--set", "language_model.steps=" + steps, "--keep", "1"}));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.errors;
  EXPECT_THAT(resumed.errors, HasSubstr("goes on from"));
  const fs::directory_iterator left(run_ / "checkpoints/language_model");
  EXPECT_EQ(std::distance(left, fs::directory_iterator()), 1);
}

TEST_F(Launch, PassesSignalsOn) {
  const pid_t launcher = start(arguments({"launch", "--nproc", "2"}, kEndless));
  ASSERT_NE(training_process(1), 0) << read_text_bytes(errors_);
  ::kill(launcher, SIGINT);
  EXPECT_EQ(wait_for(launcher), 128 + SIGINT);
  EXPECT_THAT(read_text_bytes(errors_), HasSubstr("the same command goes on from there"));
}

TEST_F(Launch, ReportsWrongUsageOfTheWorkers) {
  const CommandResult uneven = run_capdiff(arguments({"launch", "--nproc", "2"}, {"--set", "language_model.batch=3"}));
  EXPECT_EQ(uneven.exit_code, 2) << uneven.errors;
  EXPECT_THAT(uneven.errors, HasSubstr("a batch of 3 samples cannot be divided evenly among 2 ranks"));
}

TEST_F(Launch, NeedsANumberOfProcesses) {
  EXPECT_EQ(run_capdiff({"launch", "toy.toml"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"launch", "--nproc", "0", "toy.toml"}).exit_code, 2);
}

}  // namespace
}  // namespace capdiff::test
