#include "capdiff/base/process.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using namespace std::chrono_literals;

TEST(Process, RunsAProgramWithoutAShell) {
  const test::TemporaryFolder folder;
  const auto result = run_process({"/bin/sh", "-c", "echo \"$1|$PWD\"; echo oops >&2; exit 3", "x", "a b; $HOME '"},
                                  folder.path(), 10s);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_FALSE(result->timed_out);
  EXPECT_EQ(result->output, "a b; $HOME '|" + folder.path().string() + "\noops\n");
}

TEST(Process, LooksOnPathAndReadsNoInput) {
  EXPECT_EQ(run_process({"true"}, {}, 10s)->exit_code, 0);
  EXPECT_EQ(run_process({"cat"}, {}, 10s)->output, "");
  EXPECT_FALSE(run_process({"no-such-program-anywhere"}, {}, 10s).has_value());
  EXPECT_FALSE(run_process({"/dev/null"}, {}, 10s).has_value());
}

TEST(Process, EndsWhatTakesTooLong) {
  const auto result = run_process({"/bin/sh", "-c", "echo begun; exec sleep 100"}, {}, 1s);
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(result->output, "begun\n");
  // It may also close its output, and go on.
  EXPECT_TRUE(run_process({"/bin/sh", "-c", "exec >&- 2>&-; exec sleep 100"}, {}, 1s)->timed_out);
}

TEST(Process, SignalsAndLongOutput) {
  EXPECT_EQ(run_process({"/bin/sh", "-c", "kill -9 $$"}, {}, 10s)->exit_code, 128 + 9);
  const auto result = run_process({"/bin/sh", "-c", "head -c 1000000 /dev/zero; echo end"}, {}, 10s);
  EXPECT_EQ(result->output.size(), std::size_t{64} << 10);
  EXPECT_TRUE(result->output.ends_with("end\n"));
}

TEST(PrivateFolder, IsGoneAtTheEnd) {
  std::filesystem::path path;
  {
    const PrivateFolder folder;
    path = folder.path();
    std::ofstream(path / "file") << "x";
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace capdiff
