#include "capdiff/models/ladic_denoiser.h"

#include <gtest/gtest.h>

#include <array>

namespace capdiff {
namespace {

constexpr std::int64_t kLength = 5, kLatent = 6, kImageWidth = 4;

HostTensor pattern(const Shape& shape, int factor) {
  HostTensor tensor(DType::f32, shape);
  for (std::size_t i = 0; i < tensor.values<float>().size(); ++i)
    tensor.mutable_values<float>()[i] = static_cast<float>((i * static_cast<std::size_t>(factor)) % 19) / 9.0f - 1.0f;
  return tensor;
}

/// The denoiser's estimate for two captions of each of two pictures, the pictures in two parts of the batch or one.
class Denoising : public testing::TestWithParam<ImageConditioning> {
 protected:
  HostTensor estimate(int first_picture, bool in_parts) {
    ParameterStore parameters;
    parameters.initialise_missing(3);
    const LadicDenoiser denoiser(*backend_, Scope(parameters),
                                 {.latent = kLatent,
                                  .hidden = 12,
                                  .layers = 2,
                                  .heads = 3,
                                  .intermediate = 20,
                                  .encoder_width = kImageWidth,
                                  .max_position = 8,
                                  .conditioning = GetParam(),
                                  .init_std = 0.2f});
    const auto condition = [&](std::span<const int> pictures) {
      const auto count = static_cast<std::int64_t>(pictures.size());
      HostTensor patches(DType::f32, {count, 3, kImageWidth}), pooled(DType::f32, {count, kImageWidth});
      for (std::int64_t i = 0; i < count; ++i) {
        const int picture = pictures[static_cast<std::size_t>(i)];
        std::ranges::copy(pattern({3, kImageWidth}, picture).values<float>(),
                          patches.mutable_values<float>().begin() + 3 * kImageWidth * i);
        std::ranges::copy(pattern({kImageWidth}, picture).values<float>(),
                          pooled.mutable_values<float>().begin() + kImageWidth * i);
      }
      return denoiser.condition({backend_->upload(patches), backend_->upload(pooled)});
    };
    const std::array pictures{first_picture, 7};
    const Value x_t = backend_->upload(pattern({4, kLength, kLatent}, 5));
    const Value self = backend_->upload(pattern({4, kLength, kLatent}, 11));
    const Value t = backend_->upload(HostTensor::of({4}, std::array<std::int64_t, 4>{10, 500, 10, 900}));
    if (!in_parts) {
      const Condition both = condition(pictures);
      return backend_->download(denoiser(x_t, self, t, std::array{ConditionedRows{4, &both}}));
    }
    const Condition first = condition(std::span(pictures).first(1)), second = condition(std::span(pictures).last(1));
    return backend_->download(
        denoiser(x_t, self, t, std::array{ConditionedRows{2, &first}, ConditionedRows{2, &second}}));
  }

  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
};

TEST_P(Denoising, EveryRowSeesItsOwnPictureAndNoOther) {
  const HostTensor together = estimate(3, false), parts = estimate(3, true), other = estimate(13, false);
  ASSERT_EQ(together.shape(), (Shape{4, kLength, kLatent}));
  const std::size_t half = together.values<float>().size() / 2;
  double first_half = 0.0;
  for (std::size_t i = 0; i < 2 * half; ++i) {
    EXPECT_NEAR(together.values<float>()[i], parts.values<float>()[i], 1e-5) << i;
    const double difference = std::abs(together.values<float>()[i] - other.values<float>()[i]);
    if (i < half)
      first_half += difference;
    else
      EXPECT_LT(difference, 1e-5) << i;
  }
  EXPECT_GT(first_half, 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Conditioning, Denoising,
                         testing::Values(ImageConditioning::cross_attention, ImageConditioning::image_token),
                         [](const auto& info) {
                           return info.param == ImageConditioning::image_token ? "ImageToken" : "CrossAttention";
                         });

}  // namespace
}  // namespace capdiff
