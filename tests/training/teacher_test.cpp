#include "capdiff/training/teacher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/formats/json_reader.h"
#include "tests/support/expect_error.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

/// A network of one 2×2 convolution with stride 2, an extra row and column of padding, a clip and a sum.
void write_tiny_teacher(const fs::path& folder, const std::string& last_operation) {
  std::ofstream(folder / "tiny.json") << R"({"ops": [
    {"op": "Transpose", "in": ["input"], "out": "t0", "perm": [0, 3, 1, 2]},
    {"op": "Pad", "in": ["t0"], "out": "t1", "pads_tlbr": [0, 0, 1, 1]},
    {"op": "Conv", "in": ["t1"], "out": "t2", "weight": "c", "stride": 2, "groups": 1, "pads_tlbr": [0, 0, 0, 0]},
    {"op": "Clip", "in": ["t2"], "out": "t3"},
    {"op": "Add", "in": ["t2", "t3"], "out": "t4"},
    {"op": ")" << last_operation << R"(", "in": ["t4"], "out": "t5"}]})";
  HostTensor weight(DType::f32, {1, 3, 2, 2});
  std::ranges::fill(weight.mutable_values<float>(), 1.0f);
  write_safetensors(folder / "tiny.safetensors", {{"c.weight", weight}, {"c.bias", HostTensor::of({1}, {-1.0f})}});
}

TEST(Teacher, RunsTheGraphUpToThePooling) {
  const TemporaryFolder folder;
  write_tiny_teacher(folder.path(), "GlobalAveragePool");
  const auto backend = make_torch_backend({});
  const Teacher teacher(*backend, folder.path() / "tiny.json");
  HostTensor pixels(DType::f32, {1, 3, 3, 3});
  std::ranges::fill(pixels.mutable_values<float>(), 0.5f);
  const Teacher::Features features = teacher(backend->upload(pixels));
  EXPECT_EQ(features.grid.shape(), (Shape{1, 2, 2, 1}));
  // Windows of 4, 2, 2 and 1 pixels of three channels of 0.5: sums 6, 3, 3, 1.5 less 1; clipping changes none; doubled.
  const HostTensor grid = backend->download(features.grid);
  EXPECT_THAT(std::vector<float>(grid.values<float>().begin(), grid.values<float>().end()),
              testing::ElementsAre(10.0f, 4.0f, 4.0f, 1.0f));
  EXPECT_FLOAT_EQ(backend->download(features.pooled).values<float>()[0], 19.0f / 4.0f);
}

TEST(Teacher, RefusesUnknownOperationsAndGraphsWithoutPooling) {
  const TemporaryFolder folder;
  const auto backend = make_torch_backend({});
  write_tiny_teacher(folder.path(), "Telepathy");
  expect_error(ErrorCode::invalid_model, "Telepathy", [&] { Teacher(*backend, folder.path() / "tiny.json"); });
  write_tiny_teacher(folder.path(), "Clip");
  expect_error(ErrorCode::invalid_model, "GlobalAveragePool", [&] { Teacher(*backend, folder.path() / "tiny.json"); });
}

TEST(Teacher, AgreesWithThePublishedCheckValues) {
  CAPDIFF_SHARED_OR_SKIP(graph, "data/teacher/mobilenetv2.json");
  const auto backend = make_torch_backend({});
  const Teacher teacher(*backend, graph);
  HostTensor pixels(DType::f32, {1, 224, 224, 3});
  auto out = pixels.mutable_values<float>().begin();
  for (int y = 0; y < 224; ++y)
    for (int x = 0; x < 224; ++x)
      for (int c = 0; c < 3; ++c)
        *out++ = static_cast<float>((7 * x + 13 * y + 29 * c + ((x * y) % 31)) % 256) / 127.5f - 1.0f;
  const Teacher::Features features = teacher(backend->upload(pixels));
  EXPECT_EQ(features.grid.shape(), (Shape{1, 7, 7, 1280}));
  const JsonReader check = JsonReader::open(graph).get_object("check");
  const HostTensor pooled = backend->download(features.pooled);
  double sum = 0.0;
  for (const float value : pooled.values<float>()) sum += value;
  EXPECT_NEAR(sum, check.get_number("pooled_sum", -1e9, 1e9), 1e-2);
  const std::vector<double> first = check.get_numbers("pooled_first8", 8, -1e9, 1e9);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(pooled.values<float>()[i], first[i], 1e-3) << i;
}

}  // namespace
}  // namespace capdiff::test
