#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/golden_copy.h"

namespace capdiff::test {
namespace {

using testing::HasSubstr;

TEST(VerifyCommand, PrintsATableOrJson) {
  const std::string folder = golden_folder("ladic_tiny").string();
  const CommandResult table = run_capdiff({"verify", folder});
  EXPECT_EQ(table.exit_code, 0) << table.output;
  EXPECT_THAT(table.output, HasSubstr("sample_released.s30.trajectory"));
  EXPECT_THAT(table.output, HasSubstr(" 0 failed"));

  const CommandResult json = run_capdiff({"verify", "--json", folder, "--backend", "onednn"});
  EXPECT_EQ(json.exit_code, 0) << json.errors;
  const nlohmann::json report = nlohmann::json::parse(json.output);
  EXPECT_EQ(report.at("failed"), 0);
  EXPECT_EQ(report.at("passed"), report.at("tensors").size());
  EXPECT_FALSE(report.at("skipped").empty());
  for (const auto& tensor : report.at("tensors")) {
    EXPECT_TRUE(tensor.at("pass").get<bool>());
    EXPECT_TRUE(tensor.at("shape").is_array());
    EXPECT_LE(tensor.at("max_abs").get<double>(), tensor.at("tolerance").get<double>()) << tensor.at("name");
    EXPECT_GE(tensor.at("max_rel").get<double>(), 0.0);
  }
}

TEST(VerifyCommand, FailsWhereAGoldenDoes) {
  const GoldenCopy copy("dpm");
  copy.edit_json("golden.json", [](nlohmann::json& json) { json.at("cases").at(0).at("steps") = 9; });
  const CommandResult result = run_capdiff({"verify", copy.path().string(), "--json"});
  EXPECT_EQ(result.exit_code, 1);
  const nlohmann::json report = nlohmann::json::parse(result.output);
  EXPECT_EQ(report.at("failed"), 4);
}

TEST(VerifyCommand, ExplainsWrongUsage) {
  EXPECT_EQ(run_capdiff({"verify"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"verify", "x", "--backend", "abacus"}).exit_code, 2);
  const CommandResult nowhere = run_capdiff({"verify", "/nowhere"});
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_EQ(nowhere.output, "");
  EXPECT_THAT(nowhere.errors, HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace capdiff::test
