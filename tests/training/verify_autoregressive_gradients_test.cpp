#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/training/verify_gradients.h"
#include "tests/support/golden_copy.h"

namespace capdiff::test {
namespace {

GoldenReport autoregressive_report(const std::filesystem::path& folder) {
  TorchGradientCheck gradients;
  const auto backend = make_torch_backend({});
  return verify(folder, *backend, {.gradients = &gradients});
}

TEST(VerifyAutoregressiveOnTorch, EveryGoldenPasses) {
  const GoldenReport report = autoregressive_report(golden_folder("blip_ar_tiny"));
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  EXPECT_TRUE(report.skipped.empty());
  for (const char* name : {"grad.bert.embeddings.word_embeddings.weight", "grad.cls.predictions.bias",
                           "grad.bert.encoder.layer.1.crossattention.self.key.bias", "json.generate.2.sequences"})
    EXPECT_NE(std::ranges::find(report.checks, name, &GoldenCheck::name), report.checks.end()) << name;
}

TEST(VerifyAutoregressiveOnTorch, ChangedGradientsFail) {
  const GoldenCopy copy("blip_ar_tiny");
  copy.edit_tensors("golden.safetensors", [](auto& tensors) {
    const char* name = "grad.cls.predictions.transform.dense.weight";
    tensors.at(name) = nudged(tensors.at(name), 1e-2f);
    tensors.erase("grad.bert.embeddings.LayerNorm.bias");
  });
  std::vector<std::string> failed;
  for (const GoldenCheck& check : autoregressive_report(copy.path()).checks)
    if (!check.pass) failed.push_back(check.name);
  EXPECT_THAT(failed, testing::UnorderedElementsAre("grad.cls.predictions.transform.dense.weight",
                                                    "grad.bert.embeddings.LayerNorm.bias"));
}

}  // namespace
}  // namespace capdiff::test
