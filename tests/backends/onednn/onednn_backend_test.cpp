#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "capdiff/backends/backend.h"
#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(OneDnnBackend, SaysWhatItRunsWith) {
  const auto backend = make_onednn_backend({.threads = 2});
  EXPECT_EQ(backend->name(), "onednn");
  EXPECT_EQ(backend->options().threads, 2);
  EXPECT_GE(make_onednn_backend({})->options().threads, 1);
}

TEST(OneDnnBackend, RejectsOptions) {
  expect_error(ErrorCode::usage, "the number of threads", [] { make_onednn_backend({.threads = -1}); });
  expect_error(ErrorCode::unsupported, "the oneDNN backend", [] { make_onednn_backend({.compute = DType::i64}); });
}

/// bf16 either rounds or, where the processor has no kernels for it, is reported as f32 and does not.
TEST(OneDnnBackend, ReportsTheArithmeticInForce) {
  const auto backend = make_onednn_backend({.compute = DType::bf16});
  const std::vector<Parameter> w{parameter("w", array({1, 1}, {1.0}))};
  const Value x = upload(*backend, array({1, 1}, {1.001953125}));  // 1 + 2⁻⁹ needs more than bf16's 8 bits
  const float y = backend->download(backend->linear(x, backend->bind_linear(w, {}))).values<float>()[0];
  EXPECT_EQ(y, backend->options().compute == DType::bf16 ? 1.0f : 1.001953125f);
}

TEST(OneDnnBackend, PropagatesNan) {
  const auto backend = make_onednn_backend({});
  const Value x = upload(*backend, array({2, 3}, {1, kNan, 2, 0, 0, 0}));
  for (const Value& y : {backend->softmax(x), backend->activation(x, Activation::gelu), backend->max(x),
                         backend->activation(x, Activation::relu6), backend->l2_normalize(x),
                         backend->activation(x, Activation::silu)}) {
    const HostTensor host = backend->download(y);
    EXPECT_TRUE(std::any_of(host.values<float>().begin(), host.values<float>().end(),
                            [](float value) { return std::isnan(value); }));
  }
  expect_ids(*backend, backend->argmax(x), {2}, {1, 0});
  EXPECT_EQ(backend->download(backend->top_k(x, 3).second).values<std::int64_t>()[0], 1);
  const Value q = backend->reshape(x, {1, 2, 3});
  EXPECT_TRUE(std::isnan(backend->download(backend->attention(q, q, q, {})).values<float>()[0]));
}

TEST(OneDnnBackend, ValuesOutliveTheBackend) {
  auto backend = make_onednn_backend({});
  const Array x = random({3, 4}, 1);
  const Value value = backend->slice(backend->add(upload(*backend, x), upload(*backend, zeros({3, 4}))), 0, 1, 3);
  backend.reset();
  expect_close(*make_onednn_backend({}), value, {{2, 4}, {x.values.begin() + 4, x.values.end()}}, 0.0);
}

/// Memory of a finished value is used again, and never that of one that lives.
TEST(OneDnnBackend, ReusesMemorySafely) {
  const auto backend = make_onednn_backend({});
  const Value one = upload(*backend, array({1}, {1.0}));
  Value sum = upload(*backend, zeros({5000}));
  std::vector<Value> kept;
  for (int i = 0; i < 20; ++i) {
    sum = backend->add(sum, one);
    if (i % 3 == 0) kept.push_back(sum);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const HostTensor host = backend->download(kept[i]);
    for (const float value : host.values<float>()) ASSERT_EQ(value, static_cast<float>(3 * i + 1));
  }
}

TEST(OneDnnBackend, ServesSeveralThreads) {
  const auto backend = make_onednn_backend({.threads = 1});
  const Array weights = random({30, 20}, 2), x = random({40, 20}, 3);
  const std::vector<Parameter> w{parameter("w", weights)};
  const Packed packed = backend->bind_linear(w, {});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::int64_t rows = 1; rows <= 40; ++rows) {
        const Array part{{rows, 20}, {x.values.begin(), x.values.begin() + rows * 20}};
        const Value y = backend->linear(upload(*backend, part), packed, t % 2 ? Activation::relu : Activation::none);
        Array want = reference::linear(part, weights, {});
        if (t % 2) want = reference::map(want, [](double value) { return std::max(value, 0.0); });
        expect_close(*backend, y, want);
      }
    });
}

TEST(OneDnnBackend, MissingOperandsAreErrors) {
  const auto backend = make_onednn_backend({});
  const Value x = upload(*backend, zeros({2, 2}));
  expect_error(ErrorCode::internal, "[add]", [&] { backend->add(x, {}); });
  expect_error(ErrorCode::internal, "[linear]", [&] { backend->linear(x, {}); });
  expect_error(ErrorCode::internal, "[download]", [&] { backend->download({}); });
}

}  // namespace
}  // namespace capdiff::test
