#include "capdiff/base/logging.h"

#include <spdlog/spdlog.h>

#include <cstdlib>

#include "capdiff/base/progress.h"
#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

class Logging : public ::testing::Test {
 protected:
  void TearDown() override {
    ::unsetenv("CAPDIFF_LOG");
    set_up_logging();
  }
};

TEST_F(Logging, GoesToStandardErrorWithoutColours) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  set_up_logging();
  spdlog::warn("no caption for {}", "a.jpg");
  spdlog::debug("hidden");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "capdiff: warning: no caption for a.jpg\n");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST_F(Logging, TheOptionWinsOverTheEnvironment) {
  ::setenv("CAPDIFF_LOG", "error", 1);
  ::testing::internal::CaptureStderr();
  set_up_logging();
  spdlog::warn("hidden");
  set_up_logging("debug");
  spdlog::debug("shown");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "capdiff: debug: shown\n");
}

TEST_F(Logging, UnknownLevelIsAUsageError) {
  test::expect_error(ErrorCode::usage, "did you mean \"warning\"?", [] { set_up_logging("warnin"); });
}

TEST(Progress, LineGivesRateAndRemainingTime) {
  EXPECT_EQ(progress_line("captioning", 500, 1000, 40, 80),
            "captioning [#################..................] 50% 500/1000, 12.5/s, 0:40 left");
  EXPECT_EQ(progress_line("captioning", 500, 1000, 40, 0), "captioning 50% 500/1000, 12.5/s, 0:40 left");
  EXPECT_EQ(progress_line("training", 1, 7201, 1, 0), "training 0% 1/7201, 1.0/s, 2:00:00 left");
  EXPECT_EQ(progress_line("reading", 30, 0, 10, 80), "reading 30, 3.0/s");
  EXPECT_EQ(progress_line("reading", 0, 10, 0, 0), "reading 0% 0/10");
  EXPECT_EQ(progress_line("reading", 10, 10, 1, 0), "reading 100% 10/10, 10.0/s");
}

TEST(Progress, IsSilentOffATerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("captioning", 100);
    for (int i = 0; i < 100; ++i) progress.advance();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace capdiff
