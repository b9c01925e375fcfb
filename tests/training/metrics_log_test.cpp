#include "capdiff/training/metrics_log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

TEST(MetricsLog, DropsWhatIsAboutToBeDoneAgain) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("metrics.jsonl",
                                 "{\"stage\":\"a\",\"step\":9}\n"
                                 "{\"stage\":\"b\",\"step\":5}\n"
                                 "{\"stage\":\"b\",\"step\":10}\n"
                                 "{\"stage\":\"b\",\"st");
  MetricsLog(path, "b", 5).write({{"step", 6}});
  EXPECT_EQ(read_text(path, 1000),
            "{\"stage\":\"a\",\"step\":9}\n"
            "{\"stage\":\"b\",\"step\":5}\n"
            "{\"stage\":\"b\",\"step\":6}\n");
}

TEST(MetricsLog, WritesTheSameNumbersForTensorBoardAndDrawsThem) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("metrics.jsonl", "{\"stage\":\"a\",\"step\":9,\"losses\":{\"old\":2.5}}\n");
  {
    MetricsLog log(path, "b", 0);
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "tensorboard"));
    log.write({{"step", 3}, {"rate", 2.0}, {"nothing", nullptr}, {"losses", {{"loss", 0.5}}}});
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "tensorboard" / "b"))
    files.push_back(entry.path());
  ASSERT_EQ(files.size(), 1u);
  std::ifstream stream(files[0], std::ios::binary);
  const std::string events{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_NE(events.find("losses/loss"), std::string::npos);
  EXPECT_NE(events.find("rate"), std::string::npos);
  EXPECT_EQ(events.find("nothing"), std::string::npos);
  const std::string svg = read_text(folder.path() / "curves.svg", 100'000);
  EXPECT_NE(svg.find("old 2.5"), std::string::npos);
  EXPECT_NE(svg.find("loss 0.5"), std::string::npos);
}

TEST(MetricsLog, NamesAFileThatCannotBeWritten) {
  test::expect_error(ErrorCode::io, "/absent/metrics.jsonl", [] { MetricsLog("/absent/metrics.jsonl", "a", 0); });
}

}  // namespace
}  // namespace capdiff
