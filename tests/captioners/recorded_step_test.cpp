#include "capdiff/captioners/recorded_step.h"

#include <gtest/gtest.h>

#include <array>

namespace capdiff::test {
namespace {

TEST(RecordedStep, ComputesWithTheWeightAndTheInputsOfItsCall) {
  const auto backend = make_onednn_backend({});
  RecordedStep step(*backend, [&](std::span<const Value> inputs, double guidance) {
    return backend->scale_add(static_cast<float>(guidance), inputs[0], 1.0f, inputs[1]);
  });
  const Value a = backend->upload(HostTensor::of({1}, {10.0f})), b = backend->upload(HostTensor::of({1}, {1.0f}));
  for (const double guidance : {0.0, 2.0, 0.0, 3.0, 2.0})
    EXPECT_EQ(backend->download(step(std::array{a, b}, guidance)).values<float>()[0], 10.0 * guidance + 1.0);
}

TEST(RowsByTime, AreWhatIsToldAtEachTime) {
  const auto backend = make_onednn_backend({});
  const Value told = backend->upload(HostTensor::of({3, 2}, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}));
  const auto rows = rows_by_time(*backend, std::array<std::int64_t, 3>{900, 500, 0}, told);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows.at(500).shape(), Shape({1, 2}));
  EXPECT_EQ(backend->download(rows.at(500)).values<float>()[1], 4.0f);
}

}  // namespace
}  // namespace capdiff::test
