#include "capdiff/backends/metered_backend.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

/// A backend and its books.
class Metered : public testing::Test {
 protected:
  Packed weights(const Shape& shape) {
    const std::vector<Parameter> w{parameter("w", random(shape, 1))}, b{parameter("b", random({shape[0]}, 2))};
    return meter_.bind_linear(w, b);
  }
  Value value(const Shape& shape) { return upload(*inner_, random(shape, 3)); }

  std::unique_ptr<Backend> inner_ = make_onednn_backend({.threads = 1});
  MeteredBackend meter_{*inner_};
};

void expect_tally(const Tally& tally, std::int64_t calls, double flop, double bytes) {
  EXPECT_EQ(tally.calls, calls);
  EXPECT_EQ(tally.flop, flop);
  EXPECT_EQ(tally.bytes, bytes);
  EXPECT_GE(tally.seconds, 0.0);
}

TEST_F(Metered, CountsLinearLayers) {
  meter_.enter(CaptionStage::encoder);
  const Packed w = weights({5, 4});
  const Value x = value({2, 3, 4}), residual = value({2, 3, 5});
  const HostTensor y = inner_->download(meter_.linear(x, w, Activation::gelu, residual));
  const HostTensor same = inner_->download(inner_->linear(x, w, Activation::gelu, residual));
  EXPECT_TRUE(std::ranges::equal(y.values<float>(), same.values<float>()));
  meter_.linear(x, w, Activation::none, {});
  const Measurements booked = meter_.take();
  // Two times 6 rows of 4 by 5, two a multiply-add; x, y, weights, bias, and the residual once.
  const double flop = 2 * (2.0 * 6 * 4 * 5), bytes = 2 * 4.0 * (24 + 30 + 20 + 5) + 4.0 * 30;
  expect_tally(booked.operations.at("linear"), 2, flop, bytes);
  const StageTally& encoder = booked.stages.at(CaptionStage::encoder);
  expect_tally(encoder, 1, flop, bytes);
  EXPECT_EQ(encoder.products, (std::map<ProductShape, std::int64_t>{{{6, 4, 5}, 2}}));
  EXPECT_EQ(booked.flop(), flop);
}

TEST_F(Metered, CountsWeightsInTheArithmeticInForce) {
  const auto narrow = make_onednn_backend({.compute = DType::bf16, .threads = 1});
  MeteredBackend meter(*narrow);
  const std::vector<Parameter> w{parameter("w", random({5, 4}, 1))};
  meter.linear(value({1, 4}), meter.bind_linear(w, {}), Activation::none, {});
  const double weight = narrow->options().compute == DType::bf16 ? 2.0 : 4.0;
  expect_tally(meter.take().operations.at("linear"), 1, 2.0 * 4 * 5, 4.0 * (4 + 5 + 5) + weight * 20);
}

TEST_F(Metered, CountsAttention) {
  const Value q = value({4, 3, 8}), k = value({2, 5, 8}), v = value({2, 5, 6});
  meter_.attention(q, k, v, {.heads = 2, .key_mask = value({2, 5})});
  // 12 queries see 5 keys each: a product over 8 numbers, a sum over 6.
  expect_tally(meter_.take().operations.at("attention"), 1, 2.0 * 12 * 5 * (8 + 6),
               4.0 * (4 * 3 * 8 + 2 * 5 * 8 + 2 * 5 * 6 + 2 * 5 + 4 * 3 * 6));
}

TEST_F(Metered, CountsConvolutions) {
  const Packed w = meter_.bind_conv2d(parameter("w", random({3, 2, 2, 2}, 1)), parameter("b", random({3}, 2)), 1);
  meter_.conv2d(value({1, 4, 4, 2}), w, {.stride = 2});
  expect_tally(meter_.take().operations.at("conv2d"), 1, 2.0 * (2 * 2 * 3) * (2 * 2 * 2),
               4.0 * (4 * 4 * 2 + 2 * 2 * 3 + 24 + 3));
}

TEST_F(Metered, CountsWhatOtherOperationsMove) {
  const Value x = value({4, 6});
  meter_.enter(CaptionStage::step);
  meter_.add(x, value({6}));
  meter_.softmax(x);
  meter_.embedding(x, upload_ids(*inner_, {2}, {3, 1}));
  meter_.slice(x, 1, 0, 2);
  meter_.top_k(x, 2);
  meter_.download(x);
  // These share memory.
  meter_.slice(x, 0, 0, 2);
  meter_.reshape(x, {6, 4});
  meter_.dropout(x, 0.5f);
  const Measurements booked = meter_.take();
  expect_tally(booked.operations.at("add"), 1, 0, 4.0 * (24 + 6 + 24));
  expect_tally(booked.operations.at("softmax"), 1, 0, 4.0 * (24 + 24));
  expect_tally(booked.operations.at("embedding"), 1, 0, 8.0 * 2 + 4.0 * (12 + 12));
  expect_tally(booked.operations.at("slice"), 2, 0, 4.0 * (8 + 8));
  expect_tally(booked.operations.at("top_k"), 1, 0, 4.0 * 24 + 4.0 * 8 + 8.0 * 8);
  expect_tally(booked.operations.at("download"), 1, 0, 4.0 * (24 + 24));
  EXPECT_EQ(booked.operations.size(), 6u);
  EXPECT_EQ(booked.stages.at(CaptionStage::step).flop, 0.0);
}

TEST_F(Metered, StagesFollowEachOther) {
  const Packed w = weights({5, 4});
  const Value x = value({1, 4});
  meter_.linear(x, w, Activation::none, {});  // in no stage
  meter_.enter(CaptionStage::encoder);
  meter_.enter(CaptionStage::step);
  meter_.linear(x, w, Activation::none, {});
  meter_.enter(CaptionStage::step);
  meter_.linear(x, w, Activation::none, {});
  const Measurements booked = meter_.take();
  EXPECT_EQ(booked.operations.at("linear").calls, 3);
  ASSERT_EQ(booked.stages.size(), 2u);
  expect_tally(booked.stages.at(CaptionStage::encoder), 1, 0, 0);
  EXPECT_EQ(booked.stages.at(CaptionStage::step).calls, 2);
  EXPECT_EQ(booked.stages.at(CaptionStage::step).flop, 2 * 2.0 * 4 * 5);
  EXPECT_EQ(booked.seconds(),
            booked.stages.at(CaptionStage::encoder).seconds + booked.stages.at(CaptionStage::step).seconds);

  meter_.linear(x, w, Activation::none, {});
  const Measurements later = meter_.take();
  EXPECT_TRUE(later.stages.empty()) << "taking the books ends the stage";
  EXPECT_EQ(later.operations.at("linear").calls, 1);
}

}  // namespace
}  // namespace capdiff::test
