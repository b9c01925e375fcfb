#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "tests/support/captioned_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class InterruptedFolder : public CaptionedFolder {
 protected:
  static constexpr int kPictures = 60;

  void SetUp() override {
    CaptionedFolder::SetUp();
    for (int i = 0; i < kPictures; ++i) add_picture("p" + std::to_string(i) + (i % 2 ? ".png" : ".jpg"));
  }

  /// All text files of the folder.
  std::map<std::string, std::string> sidecars() const {
    std::map<std::string, std::string> texts;
    for (const auto& entry : fs::directory_iterator(photos()))
      if (entry.path().extension() == ".txt") texts[entry.path().filename()] = read_text_bytes(entry.path());
    return texts;
  }

  std::size_t sidecar_count() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(photos())) count += entry.path().extension() == ".txt";
    return count;
  }

  /// Starts the program, sends it a signal as soon as `reached` says so, and waits for its end. Whether the signal was
  /// sent before the end, and the exit code, or 128 + n where signal n ended it.
  template <class Reached>
  std::pair<bool, int> run_until(const std::vector<std::string>& arguments, int signal, Reached reached) const {
    const std::string log = (folder_.path() / "log").string();
    const pid_t child = ::fork();
    if (child == 0) {
      std::vector<char*> pointers;
      for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
      pointers.push_back(nullptr);
      if (!std::freopen(log.c_str(), "w", stderr)) ::_exit(126);
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
    bool sent = false;
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
      if (!sent && reached()) {
        ::kill(child, signal);
        sent = true;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    if (signal != SIGKILL && sent) {
      // A shell goes on with its loop after an exit code, and ends with a command that the signal has ended.
      EXPECT_TRUE(WIFSIGNALED(status));
    }
    return {sent, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
  }

  const std::vector<std::string> options_{"--format", "sidecar", "--deterministic", "--batch", "2", "--threads", "1"};
};

TEST_F(InterruptedFolder, KilledAtAnyMomentItGoesOnAndNothingIsMixedUp) {
  std::vector<std::string> arguments{photos()};
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  ASSERT_EQ(caption(arguments).exit_code, 0);
  const std::map<std::string, std::string> undisturbed = sidecars();
  ASSERT_EQ(undisturbed.size(), std::size_t{kPictures});
  std::set<std::string> different;
  for (const auto& [name, content] : undisturbed) {
    different.insert(content);
    fs::remove(photos(name));
  }
  EXPECT_GT(different.size(), 10u);  // or mixing up would not be seen

  const std::string rows = (folder_.path() / "rows.jsonl").string();
  arguments[2] = "sidecar,jsonl";
  arguments.insert(arguments.end(), {"-o", rows});
  std::mt19937 random(std::random_device{}());
  int kills = 0;
  for (const std::size_t at : {1u, 15u, 35u}) {
    const std::size_t goal = at + random() % 10;
    const auto delay = std::chrono::microseconds(random() % 4000);
    kills += run_until(command(arguments), SIGKILL, [&] {
               if (sidecar_count() < goal) return false;
               std::this_thread::sleep_for(delay);
               return true;
             }).first;
    for (const auto& [name, content] : sidecars()) EXPECT_EQ(content, undisturbed.at(name)) << name;
  }
  EXPECT_GE(kills, 1);
  const CommandResult last = caption(arguments);
  EXPECT_EQ(last.exit_code, 0) << last.errors;
  EXPECT_THAT(last.errors, HasSubstr("captioned "));
  EXPECT_EQ(sidecars(), undisturbed);
  std::map<std::string, int> times;
  std::istringstream stream(read_text_bytes(rows));
  for (std::string line; std::getline(stream, line);) {
    const nlohmann::json row = nlohmann::json::parse(line);
    const fs::path path = row.at("path").get<std::string>();
    ++times[path.filename()];
    EXPECT_EQ(row.at("caption").get<std::string>() + "\n", undisturbed.at(path.stem().string() + ".txt"));
  }
  EXPECT_EQ(times.size(), std::size_t{kPictures});
  for (const auto& [name, count] : times) EXPECT_EQ(count, 1) << name;
}

TEST_F(InterruptedFolder, AskedToStopItFinishesABatchAndSaysHowToGoOn) {
  std::vector<std::string> arguments{photos()};
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  for (const int signal : {SIGTERM, SIGINT}) {
    const auto [sent, code] = run_until(command(arguments), signal, [&] { return sidecar_count() >= 2; });
    ASSERT_TRUE(sent);
    EXPECT_EQ(code, 128 + signal);
    const std::string errors = read_text_bytes(folder_.path() / "log");
    EXPECT_THAT(errors, HasSubstr(signal == SIGTERM ? "stopped by SIGTERM" : "stopped by Ctrl-C"));
    EXPECT_THAT(errors, HasSubstr("left. The same command goes on from there"));
    EXPECT_EQ(sidecar_count() % 2, 0u);
    for (const auto& [name, content] : sidecars()) fs::remove(photos(name));
  }
}

TEST_F(InterruptedFolder, ARunThatIsRepeatedSkipsWhatIsDone) {
  const std::string rows = (folder_.path() / "rows.csv").string();
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {photos(), "--format", "csv", "-o", rows, "--deterministic"});
    return caption(more);
  };
  ASSERT_EQ(run({}).exit_code, 0);
  const std::string whole = read_text_bytes(rows);
  std::ofstream(rows + ".part", std::ios::binary) << whole.substr(0, whole.size() / 2);
  const CommandResult again = run({});
  EXPECT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_THAT(again.errors, testing::Not(HasSubstr("skipped 0")));
  EXPECT_EQ(read_text_bytes(rows), whole);
  EXPECT_FALSE(fs::exists(rows + ".part"));
  EXPECT_THAT(run({"--existing", "skip"}).errors, HasSubstr("captioned 0, skipped 60, failed 0"));
  EXPECT_EQ(read_text_bytes(rows), whole);
  EXPECT_THAT(run({"--existing", "overwrite"}).errors, HasSubstr("captioned 60, skipped 0"));
  EXPECT_EQ(run({"--existing", "error"}).exit_code, 1);
}

TEST_F(InterruptedFolder, GoesOnOnlyWithTheSameSettingsAndPictures) {
  const std::string rows = (folder_.path() / "rows.jsonl").string(), part = rows + ".part";
  const auto arguments = [&](const std::string& what, std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {what, "--format", "jsonl", "-o", rows, "--deterministic", "--batch", "2", "--threads", "1"});
    return more;
  };
  const auto [sent, code] = run_until(command(arguments(photos())), SIGTERM, [&] {
    std::error_code none;
    return fs::file_size(part, none) > 0 && !none;
  });
  ASSERT_TRUE(sent);
  EXPECT_EQ(code, 128 + SIGTERM);
  const std::string before = read_text_bytes(part);
  const CommandResult seed = caption(arguments(photos(), {"--seed", "9"}));
  EXPECT_EQ(seed.exit_code, 2);
  EXPECT_THAT(seed.errors, HasSubstr("then, seed 9 now)"));
  EXPECT_THAT(seed.errors, HasSubstr("--existing overwrite"));
  const CommandResult other = caption(arguments(photos("p0.jpg")));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.errors, HasSubstr("are not among these"));
  const CommandResult error = caption(arguments(photos(), {"--existing", "error"}));
  EXPECT_EQ(error.exit_code, 1);
  EXPECT_THAT(error.errors, HasSubstr("rows.jsonl.part is there already"));
  EXPECT_EQ(read_text_bytes(part), before);
  const CommandResult same = caption(arguments(photos()));
  EXPECT_EQ(same.exit_code, 0) << same.errors;
  EXPECT_THAT(same.errors, HasSubstr("going on from " + part));
  EXPECT_THAT(read_text_bytes(rows), testing::StartsWith(before));
  EXPECT_FALSE(fs::exists(part));
  EXPECT_FALSE(fs::exists(part + ".settings"));
}

TEST_F(InterruptedFolder, AddingLinesDoesNotPromiseToGoOn) {
  std::vector<std::string> arguments{photos()};
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  arguments.insert(arguments.end(), {"--existing", "append"});
  ASSERT_TRUE(run_until(command(arguments), SIGTERM, [&] { return sidecar_count() >= 2; }).first);
  const std::string errors = read_text_bytes(folder_.path() / "log");
  EXPECT_THAT(errors, HasSubstr("left"));
  EXPECT_THAT(errors, testing::Not(HasSubstr("goes on")));
}

TEST_F(InterruptedFolder, WaitingForStandardInputItEndsAtOnce) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const std::vector<std::string> arguments = command({"-", "--threads", "1"});
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[0], STDIN_FILENO);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  // It has taken what is in the pipe once it waits for more.
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  for (int waiting = 1; waiting > 0;) {
    ASSERT_EQ(::ioctl(ends[0], FIONREAD, &waiting), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ::kill(child, SIGINT);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
  for (const int end : ends) ::close(end);
}

}  // namespace
}  // namespace capdiff::test
