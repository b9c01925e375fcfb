#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "capdiff/backends/backend.h"
#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

/// Bits of all elements.
std::vector<std::uint32_t> bits(Backend& backend, const Value& value) {
  const HostTensor host = backend.download(value);
  std::vector<std::uint32_t> result(static_cast<std::size_t>(host.numel()));
  if (!result.empty()) std::memcpy(result.data(), host.bytes().data(), host.byte_size());
  return result;
}

struct Product {
  std::int64_t in, out;
  DType compute;
};

class DeterministicLinear : public testing::TestWithParam<Product> {};

/// Every row of a batch gives the bits that it gives alone, wherever it stands and however many threads there are.
TEST_P(DeterministicLinear, RowsDoNotDependOnTheirNeighbours) {
  const auto [in, out, compute] = GetParam();
  const Array weights = random({out, in}, 1), bias = random({out}, 2), x = random({83, in}, 3, -2, 2);
  const Array residual = random({83, out}, 4);
  std::vector<std::uint32_t> alone;
  for (const int threads : {1, 2}) {
    const auto backend = make_onednn_backend({.compute = compute, .threads = threads, .deterministic = true});
    const std::vector<Parameter> w{parameter("w", weights)}, b{parameter("b", bias)};
    const Packed packed = backend->bind_linear(w, b);
    const Value rows = upload(*backend, x), others = upload(*backend, residual);
    const auto run = [&](std::int64_t begin, std::int64_t end) {
      return bits(*backend, backend->linear(backend->slice(rows, 0, begin, end), packed, Activation::gelu,
                                            backend->slice(others, 0, begin, end)));
    };
    if (alone.empty())
      for (std::int64_t row = 0; row < 83; ++row) {
        const auto one = run(row, row + 1);
        alone.insert(alone.end(), one.begin(), one.end());
      }
    for (const auto& [begin, end] : {std::pair{0, 83}, {0, 16}, {1, 18}, {5, 83}, {7, 40}, {31, 83}}) {
      const auto batch = run(begin, end);
      EXPECT_TRUE(std::equal(batch.begin(), batch.end(), alone.begin() + begin * out))
          << "rows " << begin << " to " << end << " on " << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, DeterministicLinear,
                         testing::Values(Product{37, 29, DType::f32}, Product{3072, 40, DType::f32},
                                         Product{768, 130, DType::f32}, Product{9, 1, DType::f32},
                                         Product{37, 29, DType::bf16}, Product{3072, 40, DType::bf16},
                                         Product{37, 29, DType::i8}, Product{3072, 40, DType::i8}),
                         [](const auto& product) {
                           return std::to_string(product.param.in) + "x" + std::to_string(product.param.out) +
                                  std::string(name_of(product.param.compute));
                         });

TEST(Determinism, ConvolutionOfAnImageDoesNotDependOnItsBatch) {
  const Array x = random({5, 9, 11, 3}, 5), weights = random({20, 3, 3, 3}, 6), bias = random({20}, 7);
  for (const DType compute : {DType::f32, DType::bf16}) {
    std::vector<std::uint32_t> alone;
    for (const int threads : {1, 2}) {
      const auto backend = make_onednn_backend({.compute = compute, .threads = threads, .deterministic = true});
      const Packed packed = backend->bind_conv2d(parameter("w", weights), parameter("b", bias), 1);
      const Value images = upload(*backend, x);
      if (alone.empty())
        for (std::int64_t i = 0; i < 5; ++i) {
          const auto one = bits(*backend, backend->conv2d(backend->slice(images, 0, i, i + 1), packed, {}));
          alone.insert(alone.end(), one.begin(), one.end());
        }
      EXPECT_EQ(bits(*backend, backend->conv2d(images, packed, {})), alone) << threads << " threads";
    }
  }
}

TEST(Determinism, AttentionOfARowDoesNotDependOnBatchOrThreads) {
  const Array q = random({6, 100, 36}, 8, -3, 3), k = random({3, 150, 36}, 9, -3, 3), v = random({3, 150, 36}, 10);
  std::vector<std::uint32_t> want;
  for (const int threads : {1, 2, 7, 40}) {
    const auto backend = make_onednn_backend({.threads = threads, .deterministic = true});
    AttentionOptions options;
    options.heads = 4;
    const Value queries = upload(*backend, q), keys = upload(*backend, k), values = upload(*backend, v);
    const auto all = bits(*backend, backend->attention(queries, keys, values, options));
    if (want.empty()) want = all;
    EXPECT_EQ(all, want) << threads << " threads";
    const auto last = bits(*backend, backend->attention(backend->slice(queries, 0, 5, 6), backend->slice(keys, 0, 2, 3),
                                                        backend->slice(values, 0, 2, 3), options));
    EXPECT_TRUE(std::equal(last.begin(), last.end(), want.end() - 100 * 36)) << threads << " threads";
  }
}

}  // namespace
}  // namespace capdiff::test
