#include "capdiff/training/training_curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace capdiff {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(TrainingCurves, HaveAPanelForEachStageAndGroup) {
  TrainingCurves curves;
  EXPECT_TRUE(curves.empty());
  for (int step = 10; step <= 40; step += 10) {
    curves.add({{"stage", "language_model"}, {"step", step}, {"losses", {{"loss", 1.0 / step}}}});
    curves.add({{"stage", "ladic"}, {"step", step}, {"losses", {{"loss", 2.0}, {"latent_loss", 1.5}}}});
  }
  curves.add({{"stage", "ladic"}, {"step", 40}, {"validation", {{"CIDEr-D", 0.4}, {"loss", 1.75}}}});
  const std::string svg = curves.svg();
  EXPECT_EQ(count(svg, "class=\"title\""), 3u);
  EXPECT_EQ(count(svg, "<polyline"), 5u);
  EXPECT_LT(svg.find("validation loss 1.75"), svg.find("ladic: validation"));
  EXPECT_THAT(svg, HasSubstr("ladic: validation"));
  EXPECT_THAT(svg, HasSubstr("latent_loss 1.5"));
  EXPECT_THAT(svg, HasSubstr(">step</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">-0<")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(TrainingCurves, TakeALogarithmicAxisForAWideRange) {
  TrainingCurves narrow, wide;
  for (int step = 1; step <= 3; ++step) {
    narrow.add({{"stage", "a"}, {"step", step}, {"losses", {{"loss", step}}}});
    wide.add({{"stage", "a"}, {"step", step}, {"losses", {{"loss", std::pow(10.0, step)}}}});
  }
  EXPECT_THAT(narrow.svg(), Not(HasSubstr("logarithmic")));
  EXPECT_THAT(wide.svg(), HasSubstr("logarithmic"));
  // 10, 100 and 1000 are evenly spaced, from the bottom to the top.
  EXPECT_THAT(wide.svg(), HasSubstr("points=\"176.7,140.0 353.3,70.0 530.0,0.0\""));
}

TEST(TrainingCurves, AreSmallHoweverLongTheRun) {
  TrainingCurves curves;
  for (int step = 1; step <= 20'000; ++step)
    curves.add({{"stage", "a"}, {"step", step}, {"losses", {{"loss", step % 2 == 0 ? 1.0 : 3.0}}}});
  EXPECT_LT(curves.svg().size(), 10'000u);
}

TEST(TrainingCurves, PassOverWhatIsNoNumberAndEscapeNames) {
  TrainingCurves curves;
  for (const char* line : {"3", "{}", R"({"step": "1", "losses": {"loss": 1}})", R"({"step": 1, "losses": 4})",
                           R"({"step": 1, "losses": {"loss": null}})"}) {
    curves.add(nlohmann::json::parse(line));
  }
  EXPECT_TRUE(curves.empty());
  curves.add({{"stage", "<script>"}, {"step", 0}, {"losses", {{"a&b", 0.0}}}});
  EXPECT_THAT(curves.svg(), HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(curves.svg(), HasSubstr("a&amp;b"));
  EXPECT_THAT(curves.svg(), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace capdiff
