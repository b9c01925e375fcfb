#include <gtest/gtest.h>
#include <torch/script.h>

#include "capdiff/formats/torch_archive.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

TEST(ScriptArchive, ModulesThatLibTorchSavesAreRead) {
  torch::jit::Module visual("__torch__.clip.Visual"), model("__torch__.clip.Model");
  const torch::Tensor weight = torch::arange(6, torch::kHalf).reshape({2, 3});
  visual.register_parameter("weight", weight, /*is_buffer=*/false);
  visual.register_buffer("view", torch::arange(12, torch::kFloat32).reshape({3, 4}).t());
  visual.register_attribute("strides", c10::ListType::ofInts(), c10::List<int64_t>({1, 2}));
  visual.register_attribute("mask", c10::TensorType::get(), torch::ones({2, 2}));
  model.register_module("visual", visual);
  model.register_buffer("logit_scale", torch::tensor(4.6));
  model.register_buffer("vocab_size", torch::tensor(int64_t{49408}));
  model.register_attribute("name", c10::StringType::get(), std::string("clip"));
  // Sources of more than 200 bytes are compressed.
  std::string source = "def forward(self, x):\n";
  for (int i = 0; i < 40; ++i) source += "    x = x + self.logit_scale * " + std::to_string(i) + "\n";
  model.define(source + "    return x\n");
  const TemporaryFolder folder;
  model.save((folder.path() / "model.pt").string());

  const TorchArchive archive = TorchArchive::open(folder.path() / "model.pt");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : archive.entries()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"logit_scale", "visual.mask", "visual.view", "visual.weight", "vocab_size"}));
  EXPECT_EQ(archive.tensor("logit_scale").values<float>()[0], 4.6f);
  EXPECT_EQ(archive.tensor("vocab_size").values<std::int64_t>()[0], 49408);
  const HostTensor half = archive.tensor("visual.weight").to(DType::f32), view = archive.tensor("visual.view");
  EXPECT_EQ(half.shape(), (Shape{2, 3}));
  EXPECT_EQ(half.values<float>()[5], 5.0f);
  EXPECT_EQ(view.shape(), (Shape{4, 3}));
  EXPECT_EQ(view.values<float>()[1], 4.0f);
}

}  // namespace
}  // namespace capdiff::test
