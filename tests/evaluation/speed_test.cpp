#include "capdiff/evaluation/speed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace capdiff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Speed, TimesHaveAMedian) {
  const RunTimes odd{{3.0, 1.0, 2.0}}, even{{4.0, 1.0, 2.0, 9.0}};
  EXPECT_EQ(odd.median(), 2.0);
  EXPECT_EQ(odd.fastest(), 1.0);
  EXPECT_EQ(odd.slowest(), 3.0);
  EXPECT_EQ(even.median(), 3.0);
}

TEST(Speed, RunsTakeTurns) {
  std::string order;
  const std::vector<std::function<void()>> runs{[&] { order += 'a'; }, [&] { order += 'b'; }};
  const std::vector<RunTimes> times = time_in_turn(runs, 2, 3);
  EXPECT_EQ(order,
            "aabb"  // warming up
            "ababab");
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].seconds.size(), 3u);
  EXPECT_EQ(times[1].seconds.size(), 3u);
}

TEST(Speed, MadePicturesAreAlwaysTheSameAndAllDifferent) {
  EXPECT_EQ(made_picture(3), made_picture(3));
  EXPECT_NE(content_hash(made_picture(0)), content_hash(made_picture(1)));
}

SpeedReport denoising() {
  SpeedReport report{.model = "m", .model_type = "ladic", .backend = "onednn", .dtype = "f32", .batch = 2, .images = 4};
  report.steps = 3;
  report.times = {{2.0, 1.0, 3.0}};
  StageTally& step = report.measured.stages[CaptionStage::step];
  step.calls = 3;
  step.seconds = 0.5;
  step.flop = 2e9;
  step.bytes = 1e8;
  step.products = {{{10, 10, 10}, 1000000}};
  report.measured.stages[CaptionStage::preprocess].seconds = 0.25;
  report.measured.operations["linear"].calls = 7;
  report.ceilings = {.product_seconds = {{{10, 10, 10}, 2e-7}}, .bytes_per_second = 1e9};
  return report;
}

TEST(Speed, JsonHasRatesAndShares) {
  const nlohmann::ordered_json json = to_json(denoising());
  EXPECT_EQ(json.at("seconds").at("median"), 2.0);
  EXPECT_EQ(json.at("images_per_second"), 2.0);
  EXPECT_EQ(json.at("ms_per_image"), 500.0);
  EXPECT_EQ(json.at("gflop"), 2.0);
  const auto& step = json.at("stages").at("step");
  EXPECT_EQ(step.at("gflops_per_second"), 4.0);
  EXPECT_DOUBLE_EQ(step.at("ceiling_gflops_per_second"), 10.0);
  EXPECT_EQ(step.at("bound"), "matrix");
  EXPECT_DOUBLE_EQ(step.at("share_of_ceiling"), 0.4);
  EXPECT_FALSE(json.at("stages").at("preprocess").contains("share_of_ceiling"));
  EXPECT_EQ(json.at("operations").at("linear").at("calls"), 7);
  EXPECT_DOUBLE_EQ(json.at("ceilings").at("products").at(0).at("gflops_per_second"), 10.0);
  EXPECT_FALSE(json.contains("guidance"));
  EXPECT_FALSE(json.contains("latency"));
}

TEST(Speed, TheTableSaysTheSame) {
  EXPECT_THAT(to_table(denoising()), testing::AllOf(HasSubstr("2.0000 s (1.0000–3.0000 of 3): 2.00 images/s"),
                                                    HasSubstr("3 steps"), HasSubstr("40 % of matrix")));
}

TEST(Speed, TheFastestTypeIsNamed) {
  SpeedReport report = denoising();
  report.dtypes = {{"f32", {{3.0}}}, {"bf16", {{1.5}}}};
  EXPECT_EQ(to_json(report).at("fastest"), "bf16");
  EXPECT_THAT(to_table(report), HasSubstr("fastest type here: bf16; f32 takes 2.00 times as long"));
}

TEST(Speed, LatencyStandsByLength) {
  SpeedReport report = denoising();
  report.times = {};
  report.latency = {{8, {{1.0}}}, {16, {{2.0}}}};
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_FALSE(json.contains("seconds"));
  ASSERT_EQ(json.at("latency").size(), 2u);
  EXPECT_EQ(json.at("latency").at(1).at("length"), 16);
  EXPECT_EQ(json.at("latency").at(1).at("seconds").at("median"), 2.0);
}

}  // namespace
}  // namespace capdiff::test
