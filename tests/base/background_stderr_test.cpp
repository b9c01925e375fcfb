#include "capdiff/base/background_stderr.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <sstream>

#include "capdiff/base/progress.h"

namespace capdiff::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Standard error as a pipe, until the end of the test.
class BackgroundLog : public testing::Test {
 protected:
  BackgroundLog() {
    EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    ::dup2(ends_[1], STDERR_FILENO);
    ::close(ends_[1]);
  }
  ~BackgroundLog() override {
    restore();
    close_reader();
  }
  void restore() { ::dup2(before_, STDERR_FILENO); }
  void close_reader() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    ends_[0] = -1;
  }
  /// Reads until `end` has come.
  std::string read_until(const std::string& end) const {
    std::string text;
    char byte = 0;
    while (!text.ends_with(end) && ::read(ends_[0], &byte, 1) == 1) text += byte;
    return text;
  }

 private:
  const int before_ = ::dup(STDERR_FILENO);
  int ends_[2] = {-1, -1};
};

TEST_F(BackgroundLog, WritesInOrder) {
  {
    BackgroundStderr log;
    for (int i = 0; i < 100; ++i) write_to_stderr("line " + std::to_string(i) + "\n");
  }
  write_to_stderr("directly\n");
  const std::string text = read_until("directly\n");
  EXPECT_THAT(text, StartsWith("line 0\nline 1\n"));
  EXPECT_THAT(text, EndsWith("line 98\nline 99\ndirectly\n"));
}

TEST_F(BackgroundLog, DropsAndCountsWhatAReaderThatStallsDoesNotTake) {
  BackgroundStderr log(10'000);
  const std::string line(99, 'x');
  // Far more than pipe and queue hold; without the queue, this would wait for ever.
  for (int i = 0; i < 5000; ++i) write_to_stderr(line + "\n");
  const std::uint64_t dropped = log.dropped();
  EXPECT_GT(dropped, 3000u);
  // What was not dropped comes, with a line wherever some are missing; then there is room again.
  std::string text;
  for (std::uint64_t i = 0; i < 5000 - dropped; ++i) text += read_until("\n");
  write_to_stderr("at last\n");
  text += read_until("at last\n");
  std::uint64_t lines = 0, missing = 0;
  std::istringstream read(text);
  for (std::string each; std::getline(read, each);) {
    if (each == line) ++lines;
    if (each.find(" lines are missing here: standard error was not read in time") != std::string::npos)
      missing += std::stoul(each);
  }
  EXPECT_EQ(missing, dropped);
  EXPECT_EQ(lines, 5000 - dropped);
  EXPECT_EQ(log.dropped(), dropped);
}

TEST_F(BackgroundLog, EndsWhereNobodyReads) {
  BackgroundStderr log(1 << 20);
  for (int i = 0; i < 5000; ++i) write_to_stderr(std::string(99, 'x') + "\n");
}

TEST_F(BackgroundLog, OutlivesItsReader) {
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  close_reader();
  BackgroundStderr log;
  write_to_stderr("lost\n");
  while (log.dropped() == 0) ::usleep(1000);
  ::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace capdiff::test
