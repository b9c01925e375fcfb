#include "capdiff/training/metrics_log.h"

#include <gtest/gtest.h>

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

TEST(MetricsLog, NamesAFileThatCannotBeWritten) {
  test::expect_error(ErrorCode::io, "/absent/metrics.jsonl", [] { MetricsLog("/absent/metrics.jsonl", "a", 0); });
}

}  // namespace
}  // namespace capdiff
