#include "capdiff/training/verify_gradients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/backends/torch/torch_backend.h"
#include "tests/support/command.h"
#include "tests/support/golden_copy.h"

namespace capdiff::test {
namespace {

GoldenReport verified(const std::filesystem::path& folder) {
  TorchGradientCheck gradients;
  const auto backend = make_torch_backend({});
  return verify(folder, *backend, {.gradients = &gradients});
}

std::vector<std::string> failures(const GoldenReport& report) {
  std::vector<std::string> names;
  for (const GoldenCheck& check : report.checks)
    if (!check.pass) names.push_back(check.name);
  return names;
}

TEST(VerifyOnTorch, EveryGoldenOfLadicPasses) {
  const GoldenReport report = verified(golden_folder("ladic_tiny"));
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  EXPECT_TRUE(report.skipped.empty());
  for (const char* name : {"grads.lm_head.predictions.bias", "grads_nosc.time_layer_norm.weight", "adamw.losses",
                           "adamw.3.diffuser.embeddings.position_embeddings.weight",
                           "paper.grads.diffuser.encoder.layer.0.crossattention.self.key.weight"})
    EXPECT_NE(std::ranges::find(report.checks, name, &GoldenCheck::name), report.checks.end()) << name;
}

TEST(VerifyOnTorch, EveryGoldenOfPrefixDiffusionPasses) {
  const GoldenReport report = verified(golden_folder("prefix_tiny"));
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  EXPECT_TRUE(report.skipped.empty());
  for (const char* name : {"grad.word_embedding.weight", "grad.img_project.model.3.bias", "opt.param.lm_head.bias",
                           "opt.ema.position_embeddings.weight", "json.opt.losses"})
    EXPECT_NE(std::ranges::find(report.checks, name, &GoldenCheck::name), report.checks.end()) << name;
}

TEST(VerifyOnTorch, ChangedGradientsAndStepsOfPrefixDiffusionFail) {
  const GoldenCopy copy("prefix_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) {
    for (const char* name : {"grad.LayerNorm_img.bias", "opt.param.LayerNorm.weight", "opt.ema.lm_head.bias"})
      tensors.at(name) = nudged(tensors.at(name), 1e-2f);
    tensors.emplace("grad.nothing.of.this.name", HostTensor::scalar(0.0f));
  });
  copy.edit_json("golden.json", [](nlohmann::json& golden) { golden.at("opt").at("losses").at(2) = 3.0; });
  EXPECT_THAT(failures(verified(copy.path())),
              testing::UnorderedElementsAre("grad.LayerNorm_img.bias", "opt.param.LayerNorm.weight",
                                            "opt.ema.lm_head.bias", "grad.nothing.of.this.name", "json.opt.losses"));
}

TEST(VerifyOnTorch, DpmSolverPasses) {
  const GoldenReport report = verified(golden_folder("dpm"));
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
}

TEST(VerifyOnTorch, TheCommandRunsTheOtherProgram) {
  const CommandResult result =
      run_capdiff({"verify", golden_folder("ladic_tiny").string(), "--backend", "torch", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json report = nlohmann::json::parse(result.output);
  EXPECT_EQ(report.at("failed"), 0);
  EXPECT_TRUE(report.at("skipped").empty());
}

TEST(VerifyOnTorch, ChangedGradientsAndStepsFail) {
  const GoldenCopy copy("ladic_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) {
    tensors.at("paper.grads.time_layer_norm.bias") = nudged(tensors.at("paper.grads.time_layer_norm.bias"), 1e-3f);
    tensors.at("adamw.3.lm_head.predictions.bias") = nudged(tensors.at("adamw.3.lm_head.predictions.bias"), 1e-3f);
    tensors.emplace("grads.nothing.of.this.name", HostTensor::scalar(0.0f));
    tensors.emplace("adamw.9.time_layer_norm.bias", tensors.at("adamw.3.time_layer_norm.bias"));
    tensors.emplace("grads.diffuser.embeddings.word_embeddings.weight", HostTensor::scalar(0.0f));
  });
  EXPECT_THAT(failures(verified(copy.path())),
              testing::UnorderedElementsAre("paper.grads.time_layer_norm.bias", "adamw.3.lm_head.predictions.bias",
                                            "grads.nothing.of.this.name", "adamw.9.time_layer_norm.bias",
                                            "grads.diffuser.embeddings.word_embeddings.weight"));
}

}  // namespace
}  // namespace capdiff::test
