#include "capdiff/models/prefix_denoiser.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace capdiff {
namespace {

PrefixDenoiserConfig paper_sizes() {
  PrefixDenoiserConfig config;
  config.mapper.hidden = config.hidden;
  return config;
}

/// Sizes of all parameters without drawing them: a backend that binds is not needed to count.
std::int64_t count(const ParameterStore& parameters) {
  std::int64_t total = 0;
  for (const auto& [name, shape] : parameters.used()) total += shape.numel();
  return total;
}

PrefixDenoiserConfig small_sizes(MapperKind mapper) {
  PrefixDenoiserConfig config{
      .latent = 4, .hidden = 16, .layers = 2, .heads = 2, .intermediate = 32, .max_position = 8, .time_channels = 8};
  config.mapper = {.kind = mapper, .feature = 6, .prefix = 3, .hidden = 16, .mlp_width = 20, .layers = 2, .heads = 2};
  config.init_std = config.mapper.init_std = 0.3f;
  return config;
}

HostTensor ramp(const Shape& shape, float scale) {
  HostTensor tensor(DType::f32, shape);
  for (std::size_t i = 0; i < tensor.values<float>().size(); ++i)
    tensor.mutable_values<float>()[i] = scale * std::sin(static_cast<float>(3 * i + 1));
  return tensor;
}

class PrefixMapping : public testing::TestWithParam<MapperKind> {};

TEST_P(PrefixMapping, RowsSeeTheirOwnPictureOnly) {
  const auto backend = make_onednn_backend({});
  ParameterStore parameters;
  parameters.initialise_missing(5);
  const PrefixDenoiser denoiser(*backend, Scope(parameters), small_sizes(GetParam()));
  const Prefix both = denoiser.prefix(backend->upload(ramp({2, 6}, 1.0f)));
  EXPECT_EQ(both.tokens.shape(), (Shape{2, 3, 16}));
  const Prefix second = denoiser.prefix(backend->upload(ramp({2, 6}, 1.0f).slice(1, 2)));

  // Two rows for each picture; rows 2 and 3 belong to the second one.
  const HostTensor x_t = ramp({4, 5, 4}, 2.0f), t = HostTensor::of({4}, std::vector<float>{3, 500, 7, 900});
  const HostTensor all = backend->download(denoiser(backend->upload(x_t), t, std::array{PrefixedRows{4, &both}}));
  const HostTensor last = backend->download(
      denoiser(backend->upload(x_t.slice(2, 4)), t.slice(2, 4), std::array{PrefixedRows{2, &second}}));
  for (std::size_t i = 0; i < last.values<float>().size(); ++i)
    EXPECT_NEAR(last.values<float>()[i], all.values<float>()[40 + i], 1e-5f) << i;
}

INSTANTIATE_TEST_SUITE_P(Mappers, PrefixMapping, testing::Values(MapperKind::mlp, MapperKind::transformer));

TEST(PrefixDenoiser, HasTheParametersOfThePaperBesideItsWords) {
  // 94.95 million with the embedding of 14,145 words of width 48.
  const auto backend = make_onednn_backend({});
  ParameterStore parameters;
  parameters.initialise_missing(1);
  const PrefixDenoiser denoiser(*backend, Scope(parameters), paper_sizes());
  EXPECT_NEAR(static_cast<double>(count(parameters) + 14145 * 48) / 1e6, 94.95, 0.03);
}

TEST(SplitSinusoids, PutsCosinesFirst) {
  const HostTensor table = split_sinusoids(HostTensor::of({2}, std::vector<float>{0, 2}), 5);
  const auto values = table.values<float>();
  EXPECT_EQ(table.shape(), (Shape{2, 5}));
  EXPECT_FLOAT_EQ(values[0], 1.0f);
  EXPECT_FLOAT_EQ(values[2], 0.0f);
  EXPECT_FLOAT_EQ(values[5], std::cos(2.0f));
  EXPECT_FLOAT_EQ(values[6], std::cos(0.02f));
  EXPECT_FLOAT_EQ(values[8], std::sin(0.02f));
  EXPECT_EQ(values[9], 0.0f);
}

}  // namespace
}  // namespace capdiff
