#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "capdiff/backends/onednn/dnnl_common.h"
#include "capdiff/backends/onednn/layers.h"
#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

/// A processor without VNNI computes in f32 instead, which must stand all of this too.
std::unique_ptr<Backend> int8_backend(int threads = 0) {
  return make_onednn_backend({.compute = DType::i8, .threads = threads});
}

std::vector<float> linear_values(Backend& backend, const Array& x, const Packed& packed, Activation activation = {}) {
  const HostTensor host = backend.download(backend.linear(upload(backend, x), packed, activation));
  return {host.values<float>().begin(), host.values<float>().end()};
}

TEST(Int8Linear, TakesAQuarterOfTheMemory) {
  const auto backend = int8_backend();
  if (backend->options().compute != DType::i8) GTEST_SKIP() << "this processor computes in f32 instead";
  const std::vector<Parameter> w{parameter("w", random({512, 256}, 1))};
  const auto bytes = [&](Backend& with) {
    const Packed packed = with.bind_linear(w, {});
    return static_cast<const onednn::LinearLayer&>(*packed.storage()).weights->desc().get_size();
  };
  EXPECT_EQ(4 * bytes(*backend), bytes(*make_onednn_backend({})));
}

/// A row has its own scale, so that small rows are as exact, relative to themselves, as large ones beside them.
TEST(Int8Linear, RowsOfAnySizeKeepTheirPrecision) {
  const auto backend = int8_backend();
  const Array weights = random({30, 64}, 2), row = random({1, 64}, 3);
  const std::vector<Parameter> w{parameter("w", weights)};
  const Packed packed = backend->bind_linear(w, {});
  for (const double size : {1e-30, 1e-6, 1.0, 1e6, 1e36}) {
    Array x{{2, 64}, row.values}, scaled{{1, 64}, row.values};
    for (double& value : scaled.values) value = static_cast<double>(static_cast<float>(value * size));
    x.values.insert(x.values.end(), scaled.values.begin(), scaled.values.end());
    const Value y = backend->linear(upload(*backend, x), packed);
    expect_close(*backend, backend->slice(y, 0, 1, 2), reference::linear(scaled, weights, {}),
                 linear_tolerance(*backend));
  }
}

TEST(Int8Linear, ChannelsOfAnySizeKeepTheirPrecision) {
  const auto backend = int8_backend();
  Array weights = random({3, 64}, 4);
  for (std::int64_t i = 0; i < 64; ++i) {
    weights[i] = static_cast<double>(static_cast<float>(weights[i] * 1e-8));
    weights[128 + i] = 0.0;
  }
  const Array x = random({5, 64}, 5), want = reference::linear(x, weights, {});
  const std::vector<Parameter> w{parameter("w", weights)};
  const std::vector<float> got = linear_values(*backend, x, backend->bind_linear(w, {}));
  for (std::size_t i = 0; i < got.size(); i += 3) {
    EXPECT_NEAR(static_cast<double>(got[i]), want.values[i], 1e-9);
    EXPECT_EQ(got[i + 2], 0.0f);
  }
}

TEST(Int8Linear, ARowOfZerosGivesTheBias) {
  const auto backend = int8_backend();
  const Array bias = random({30}, 6);
  const std::vector<Parameter> w{parameter("w", random({30, 64}, 7))}, b{parameter("b", bias)};
  expect_close(*backend, backend->linear(upload(*backend, zeros({1, 64})), backend->bind_linear(w, b)),
               {{1, 30}, bias.values}, 0.0);
}

TEST(Int8Linear, ConstantRowsAreExact) {
  const auto backend = int8_backend();
  const Array weights = random({30, 64}, 8, -1, 0);
  Array x = zeros({2, 64});
  for (std::int64_t i = 0; i < 128; ++i) x[i] = i < 64 ? 3.25 : -1e4;
  const std::vector<Parameter> w{parameter("w", weights)};
  expect_close(*backend, backend->linear(upload(*backend, x), backend->bind_linear(w, {})),
               reference::linear(x, weights, {}), linear_tolerance(*backend));
}

/// NaN and infinity spoil their own row, and no other.
TEST(Int8Linear, WhatIsNotFiniteStaysVisible) {
  const auto backend = int8_backend();
  const Array weights = random({30, 64}, 9, 0.5, 1);
  const std::vector<Parameter> w{parameter("w", weights)};
  const Packed packed = backend->bind_linear(w, {});
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    Array x = random({3, 64}, 10);
    const std::vector<float> clean = linear_values(*backend, x, packed);
    x[64 + 7] = bad;
    for (const Activation activation : {Activation::none, Activation::gelu, Activation::tanh})
      linear_values(*backend, x, packed, activation);
    const std::vector<float> got = linear_values(*backend, x, packed);
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (i / 30 == 1)
        EXPECT_FALSE(std::isfinite(got[i]));
      else
        EXPECT_EQ(got[i], clean[i]);
    }
  }
}

/// The sums are integers: exact however they are split, even without `deterministic`.
TEST(Int8Linear, ResultsDoNotDependOnBatchOrThreads) {
  const auto one = int8_backend(1), three = int8_backend(3);
  if (one->options().compute != DType::i8) GTEST_SKIP() << "this processor computes in f32 instead";
  const Array x = random({400, 256}, 11);
  const std::vector<Parameter> w{parameter("w", random({300, 256}, 12))}, b{parameter("b", random({300}, 13))};
  const std::vector<float> all = linear_values(*three, x, three->bind_linear(w, b), Activation::gelu);
  const Packed packed = one->bind_linear(w, b);
  for (const std::int64_t row : {0, 1, 17, 399}) {
    const Array alone{{1, 256}, {x.values.begin() + row * 256, x.values.begin() + (row + 1) * 256}};
    const std::vector<float> got = linear_values(*one, alone, packed, Activation::gelu);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), all.begin() + row * 300)) << row;
  }
}

/// The largest sum of 8-bit products fits into 32 bits.
TEST(Int8Linear, LongRowsDoNotOverflow) {
  const auto backend = int8_backend();
  for (const std::int64_t in : {onednn::kMaxInt8Columns, onednn::kMaxInt8Columns + 1}) {
    Array weights = zeros({1, in}), x = zeros({1, in});
    for (std::int64_t i = 0; i < in; ++i) weights[i] = x[i] = 1.0;
    const std::vector<Parameter> w{parameter("w", weights)};
    const float got = linear_values(*backend, x, backend->bind_linear(w, {})).front();
    EXPECT_NEAR(static_cast<double>(got), static_cast<double>(in), 1.0);
  }
}

}  // namespace
}  // namespace capdiff::test
