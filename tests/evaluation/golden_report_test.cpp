#include "capdiff/evaluation/golden_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(GoldenReport, ComparesTextsExactlyAndNumbersWithinTheTolerance) {
  GoldenReport report;
  EXPECT_TRUE(report.compare_json("a", {"a man", "a dog"}, {"a man", "a dog"}).pass);
  EXPECT_FALSE(report.compare_json("b", {"a man", "a dog"}, {"a man", "a cat"}).pass);
  EXPECT_TRUE(report.compare_json("c", json{{1.0, 2.0}, {3.0, 4.0}}, json{{1.0, 2.0}, {3.0, 4.0001}}, 1e-3).pass);
  EXPECT_FALSE(report.compare_json("d", {1.0, 2.0}, {1.0, 2.1}, 1e-3).pass);
  EXPECT_FALSE(report.compare_json("e", {1, 2}, {1, 2, 3}, 1e9).pass);
  EXPECT_FALSE(report.compare_json("f", "2", 2, 1e-9).pass);
  EXPECT_TRUE(report.compare_json("g", 2, 2.0).pass);
  EXPECT_EQ(report.checks[2].name, "json.c");
  EXPECT_EQ(report.checks[2].shape, (Shape{2, 2}));
  EXPECT_NEAR(report.checks[2].max_abs, 1e-4, 1e-12);
  EXPECT_NEAR(report.checks[2].max_rel, 1e-4 / 4.0, 1e-12);
  EXPECT_THAT(report.checks[1].note, HasSubstr("a cat"));
  EXPECT_EQ(report.passed(), 3u);
  EXPECT_EQ(report.failed(), 4u);
}

TEST(GoldenReport, APartThatThrowsHasFailedAndTheOthersGoOn) {
  GoldenReport report;
  report.part("first", [] { fail(ErrorCode::not_found, "no such tensor"); });
  report.part("second", [&] { report.compare_json("x", 1, 1); });
  EXPECT_EQ(report.failed(), 1u);
  EXPECT_EQ(report.passed(), 1u);
  EXPECT_EQ(report.checks[0].name, "first");
  EXPECT_THAT(to_table(report), HasSubstr("FAILED: no such tensor"));
}

TEST(GoldenReport, JsonNamesShapeErrorToleranceAndVerdict) {
  GoldenReport report;
  report.compare_json("scores", {0.5, 0.25}, {0.5, 0.0}, 0.1);
  report.skipped = {"grads.a"};
  const nlohmann::ordered_json written = to_json(report);
  EXPECT_EQ(written.at("tensors").at(0).at("name"), "json.scores");
  EXPECT_EQ(written.at("tensors").at(0).at("shape"), json::array({2}));
  EXPECT_EQ(written.at("tensors").at(0).at("max_abs"), 0.25);
  EXPECT_EQ(written.at("tensors").at(0).at("max_rel"), 0.5);
  EXPECT_EQ(written.at("tensors").at(0).at("tolerance"), 0.1);
  EXPECT_EQ(written.at("tensors").at(0).at("pass"), false);
  EXPECT_EQ(written.at("passed"), 0);
  EXPECT_EQ(written.at("failed"), 1);
  EXPECT_EQ(written.at("skipped"), json::array({"grads.a"}));
  EXPECT_THAT(to_table(report), HasSubstr("0 passed, 1 failed, 1 skipped"));
}

}  // namespace
}  // namespace capdiff
