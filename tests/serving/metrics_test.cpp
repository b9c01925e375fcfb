#include "capdiff/serving/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

namespace capdiff::test {
namespace {

using ::testing::HasSubstr;

TEST(ServingMetrics, CountRequestsByRouteAndStatus) {
  ServingMetrics metrics;
  metrics.count_request("/v1/captions", 200, 0.2);
  metrics.count_request("/v1/captions", 200, 3.0);
  metrics.count_request("/v1/captions", 429, 0.001);
  metrics.count_request("/healthz", 200, 0.001);
  const std::string text = metrics.text({});
  EXPECT_THAT(text, HasSubstr("capdiff_requests_total{route=\"/v1/captions\",status=\"200\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_requests_total{route=\"/v1/captions\",status=\"429\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_request_seconds_bucket{le=\"0.25\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_request_seconds_bucket{le=\"5\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_request_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_request_seconds_sum 3.2\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_request_seconds_count 2\n"));
}

TEST(ServingMetrics, CountBatches) {
  ServingMetrics metrics;
  EXPECT_EQ(metrics.seconds_per_picture(), 0.0);
  metrics.count_batch(4, 2.0);
  metrics.count_batch(16, 3.0);
  EXPECT_EQ(metrics.seconds_per_picture(), 0.25);
  const std::string text = metrics.text({.queued = 3, .connections = 5});
  EXPECT_THAT(text, HasSubstr("capdiff_batch_pictures_bucket{le=\"4\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_batch_pictures_bucket{le=\"16\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_pictures_total 20\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_queued_pictures 3\n"));
  EXPECT_THAT(text, HasSubstr("capdiff_connections 5\n"));
}

TEST(ServingMetrics, AreLinesThatPrometheusReads) {
  ServingMetrics metrics;
  metrics.count_request("/", 200, 0.1);
  static const std::regex line(R"(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)");
  std::istringstream text(metrics.text({}));
  std::size_t lines = 0;
  for (std::string each; std::getline(text, each); ++lines) EXPECT_TRUE(std::regex_match(each, line)) << each;
  EXPECT_GT(lines, 30u);
  EXPECT_GT(resident_bytes(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace capdiff::test
