#include "capdiff/tensor/host_tensor.h"

#include <array>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using test::expect_error;
using ::testing::ElementsAre;

TEST(HostTensor, OwnsAlignedZeros) {
  HostTensor tensor(DType::f32, {3, 5});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % 64, 0u);
  EXPECT_EQ(tensor.byte_size(), 60u);
  EXPECT_THAT(tensor.values<float>(), ::testing::Each(0.0f));
}

TEST(HostTensor, CopiesShareBytes) {
  HostTensor tensor = HostTensor::of({2, 2}, {1, 2, 3, 4});
  const HostTensor copy = tensor;
  tensor.mutable_values<float>()[3] = 9;
  EXPECT_THAT(copy.values<float>(), ElementsAre(1, 2, 3, 9));
  EXPECT_THAT(copy.reshaped({4}).values<float>(), ElementsAre(1, 2, 3, 9));
  EXPECT_THAT(copy.slice(1, 2).values<float>(), ElementsAre(3, 9));
  EXPECT_EQ(copy.slice(1, 1).numel(), 0);
}

TEST(HostTensor, ViewKeepsItsOwnerAlive) {
  auto owner = std::make_shared<std::array<float, 2>>(std::array{1.5f, 2.5f});
  const std::weak_ptr<std::array<float, 2>> watch = owner;
  HostTensor view = HostTensor::view(DType::f32, {2}, std::as_bytes(std::span(*owner)), owner);
  owner.reset();
  EXPECT_THAT(view.values<float>(), ElementsAre(1.5f, 2.5f));
  expect_error(ErrorCode::internal, "view", [&] { view.mutable_bytes(); });
  view = {};
  EXPECT_TRUE(watch.expired());
}

TEST(HostTensor, RejectsWhatDoesNotFit) {
  const std::array<float, 2> values{};
  const auto bytes = std::as_bytes(std::span(values));
  expect_error(ErrorCode::invalid_input, "[3]", [&] { HostTensor::view(DType::f32, {3}, bytes, nullptr); });
  expect_error(ErrorCode::internal, "misaligned",
               [&] { HostTensor::view(DType::f32, {1}, bytes.subspan(1, 4), nullptr); });
  expect_error(ErrorCode::invalid_input, "does not fit", [] { HostTensor(DType::f64, {std::int64_t{1} << 62}); });
  expect_error(ErrorCode::internal, "[2, 2]", [] { HostTensor::of({2, 2}, {1, 2, 3}); });
  expect_error(ErrorCode::internal, "elements of 4 bytes",
               [] { static_cast<void>(HostTensor(DType::f64, {1}).values<float>()); });
  expect_error(ErrorCode::internal, "rows", [] { HostTensor(DType::f32, {2}).slice(1, 3); });
  expect_error(ErrorCode::internal, "cannot become", [] { HostTensor(DType::f32, {2}).reshaped({3}); });
}

TEST(HostTensor, Transposes) {
  const HostTensor matrix = HostTensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(matrix.transposed().shape(), (Shape{3, 2}));
  EXPECT_THAT(matrix.transposed().values<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(matrix.to(DType::bf16).transposed().to(DType::f32).values<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
  expect_error(ErrorCode::internal, "no matrix", [] { HostTensor(DType::f32, {2}).transposed(); });
}

TEST(HostTensor, ConvertsBetweenTypes) {
  const HostTensor tensor = HostTensor::of({3}, {1.0f, -0.5f, 3.1415926f});
  EXPECT_THAT(tensor.to(DType::bf16).to(DType::f32).values<float>(), ElementsAre(1.0f, -0.5f, 3.140625f));
  EXPECT_THAT(tensor.to(DType::f16).to(DType::f32).values<float>(), ElementsAre(1.0f, -0.5f, 3.140625f));
  const std::array<std::int64_t, 2> integers{-3, 7};
  EXPECT_THAT(HostTensor::of({2}, std::span<const std::int64_t>(integers)).to(DType::f32).values<float>(),
              ElementsAre(-3.0f, 7.0f));
  expect_error(ErrorCode::internal, "F32 to I64", [&] { static_cast<void>(tensor.to(DType::i64)); });
}

}  // namespace
}  // namespace capdiff
