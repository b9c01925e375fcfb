#include "capdiff/training/distillation.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/image/pictures.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

/// A teacher of two halvings, each with a sum, over 32-pixel photos: hints of 16 and 8 cells, a grid of 8.
void write_teacher(const fs::path& folder) {
  std::ofstream(folder / "tiny.json") << R"({"ops": [
    {"op": "Conv", "in": ["input"], "out": "a", "weight": "c0", "stride": 2, "groups": 1, "pads_tlbr": [0, 0, 1, 1]},
    {"op": "Clip", "in": ["a"], "out": "b"},
    {"op": "Add", "in": ["a", "b"], "out": "s16"},
    {"op": "Conv", "in": ["s16"], "out": "c", "weight": "c1", "stride": 2, "groups": 1, "pads_tlbr": [0, 0, 1, 1]},
    {"op": "Add", "in": ["c", "c"], "out": "first"},
    {"op": "Add", "in": ["first", "c"], "out": "s8"},
    {"op": "Clip", "in": ["s8"], "out": "grid"},
    {"op": "GlobalAveragePool", "in": ["grid"], "out": "pooled"}]})";
  const auto weights = [](std::int64_t out, std::int64_t in) {
    HostTensor weight(DType::f32, {out, in, 3, 3});
    for (std::size_t i = 0; i < weight.values<float>().size(); ++i)
      weight.mutable_values<float>()[i] = static_cast<float>((i * 37) % 23) / 23.0f - 0.45f;
    return weight;
  };
  write_safetensors(folder / "tiny.safetensors", {{"c0.weight", weights(4, 3)},
                                                  {"c0.bias", HostTensor(DType::f32, {4})},
                                                  {"c1.weight", weights(6, 4)},
                                                  {"c1.bias", HostTensor(DType::f32, {6})}});
}

class Distillation : public testing::Test {
 protected:
  void SetUp() override {
    write_teacher(folder_.path());
    for (int k = 0; k < 4; ++k) {
      Image image(32, 32);
      for (std::size_t i = 0; i < image.rgb.size(); ++i)
        image.rgb[i] = static_cast<std::uint8_t>((i * static_cast<std::size_t>(3 + 4 * k) + (i / 96) * 11) % 256);
      const Bytes jpeg = encode_jpeg(image);
      paths_.push_back(folder_.path() / (std::to_string(k) + ".jpg"));
      std::ofstream(paths_.back().file, std::ios::binary)
          .write(reinterpret_cast<const char*>(jpeg.data()), static_cast<std::streamsize>(jpeg.size()));
    }
    photos_.emplace(paths_, 0, 1);
    teacher_.emplace(*backend_, folder_.path() / "tiny.json");
  }

  TeacherGrids grids(std::int64_t hint_components) const {
    return TeacherGrids(*backend_, *teacher_, *photos_, 32, 5, hint_components);
  }

  TemporaryFolder folder_;
  std::vector<PhotoSource> paths_;
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  std::optional<PhotoStore> photos_;
  std::optional<Teacher> teacher_;
};

TEST_F(Distillation, HintsAreTheLastSumOfEveryResolution) {
  const Teacher::Features features = (*teacher_)(backend_->upload(HostTensor(DType::f32, {2, 32, 32, 3})));
  ASSERT_EQ(features.hints.size(), 2u);
  EXPECT_EQ(features.hints[0].shape(), (Shape{2, 16, 16, 4}));
  EXPECT_EQ(features.hints[1].shape(), (Shape{2, 8, 8, 6}));
}

TEST_F(Distillation, GridsKeepUnitVarianceAndGiveEachStageTheCoarsestHintThatIsFineEnough) {
  const TeacherGrids targets = grids(3);
  EXPECT_EQ(targets.grid(), 2);
  EXPECT_EQ(targets.components(0), 3);
  EXPECT_EQ(targets.components(2), 5);
  EXPECT_EQ(targets.hint_for(16), 0);
  EXPECT_EQ(targets.hint_for(9), 0);
  EXPECT_EQ(targets.hint_for(8), 1);
  EXPECT_EQ(targets.hint_for(4), 1);
  EXPECT_EQ(targets.hint_for(17), -1);
  EXPECT_EQ(grids(0).hint_for(4), -1);

  const torch::Tensor items = torch::arange(4);
  const torch::Tensor whole = torch::tensor({1.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f}).view({1, 2, 3}).repeat({4, 1, 1});
  const torch::Tensor seen = targets.crops(2, items, whole, 8);
  EXPECT_EQ(seen.sizes(), (torch::IntArrayRef{4, 64, 5}));
  EXPECT_NEAR(seen.square().mean().item<double>(), 1.0, 0.02);
  // A mirrored crop is the mirror image of the crop.
  torch::Tensor mirrored = whole.clone();
  mirrored.select(1, 0).select(1, 0).fill_(-1.0f);
  const torch::Tensor flipped = targets.crops(2, items, mirrored, 8).view({4, 8, 8, 5}).flip(2);
  EXPECT_LT((flipped - seen.view({4, 8, 8, 5})).abs().max().item<double>(), 1e-3);
}

TEST_F(Distillation, TheEncoderLearnsFromGridAndHints) {
  const TeacherGrids targets = grids(3);
  backend_->set_trainable([](const std::string&) { return true; });
  ParameterStore parameters;
  parameters.initialise_missing(1);
  const ConvVitConfig config{
      .image_size = 16, .stages = {{4, 0, false}, {8, 1, true}}, .depth = 1, .heads = 2, .mlp = 16, .init_std = 0.1f};
  const auto encoder = make_image_encoder(*backend_, Scope(parameters) / "visual_encoder", config);
  Preprocessor preprocessor;
  preprocessor.size = 16;
  DistillationObjective objective(*backend_, *encoder, parameters, preprocessor, *photos_, {0, 1, 2, 3}, targets, {});
  const std::vector<Sample> samples{{0, 0}, {1, 1}, {2, 2}, {3, 3}};
  std::vector<torch::Tensor> learnt;
  for (const auto& [name, parameter] : backend_->trainable_parameters()) learnt.push_back(parameter);
  torch::optim::Adam adam(learnt, torch::optim::AdamOptions(1e-2));
  const auto batch = objective.prepare(samples);
  EXPECT_NEAR(objective.unexplained_variance(std::vector<std::int64_t>{0, 1, 2, 3}), 1.0, 0.5);
  std::map<std::string, double> first, last;
  for (int step = 0; step < 60; ++step) {
    const StepLosses losses = objective.losses(*batch);
    for (const auto& [name, value] : losses.parts) last[name] = value.item<double>();
    if (step == 0) first = last;
    adam.zero_grad();
    losses.total.backward();
    adam.step();
  }
  for (const char* part : {"grid_loss", "hint_loss"}) EXPECT_LT(last.at(part), 0.8 * first.at(part)) << part;
}

}  // namespace
}  // namespace capdiff::test
