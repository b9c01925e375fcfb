#include <cmath>

#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

struct ConvCase {
  std::string name;
  Shape x;
  Shape weights;
  Conv2dOptions options;
};

void convolution(Backend& backend, const ConvCase& c) {
  const double bound = std::sqrt(3.0 / static_cast<double>(c.weights.numel() / c.weights[0]));
  const Array x = random(c.x, 60, -3, 3), weights = random(c.weights, 61, -bound, bound);
  const Array bias = random({c.weights[0]}, 62);
  const Packed with_bias = backend.bind_conv2d(parameter("w", weights), parameter("b", bias), c.options.groups);
  EXPECT_EQ(with_bias.shape(), c.weights);
  expect_close(backend, backend.conv2d(upload(backend, x), with_bias, c.options),
               reference::conv2d(x, weights, bias, c.options), product_tolerance(backend));
  const Packed without = backend.bind_conv2d(parameter("w", weights), std::nullopt, c.options.groups);
  expect_close(backend, backend.conv2d(upload(backend, x), without, c.options),
               reference::conv2d(x, weights, {}, c.options), product_tolerance(backend));
}

/// One set of weights serves images of several sizes.
void convolution_sizes(Backend& backend) {
  const Array weights = random({5, 3, 3, 3}, 63);
  const Packed packed = backend.bind_conv2d(parameter("w", weights), std::nullopt, 1);
  for (const std::int64_t size : {7, 4, 33, 7}) {
    const Array x = random({1, size, size, 3}, 64);
    expect_close(backend, backend.conv2d(upload(backend, x), packed, Conv2dOptions::padded(1)),
                 reference::conv2d(x, weights, {}, Conv2dOptions::padded(1)), product_tolerance(backend));
  }
}

void convolution_rejects(Backend& backend) {
  const Packed packed = backend.bind_conv2d(parameter("w", random({4, 3, 3, 3}, 65)), std::nullopt, 1);
  expect_error(ErrorCode::internal, "[conv2d]", [&] {
    backend.conv2d(upload(backend, random({1, 5, 5, 2}, 66)), packed, {});
  });
  expect_error(ErrorCode::internal, "[conv2d]", [&] {
    backend.conv2d(upload(backend, random({5, 5, 3}, 67)), packed, {});
  });
  expect_error(ErrorCode::internal, "[conv2d]", [&] {
    backend.conv2d(upload(backend, random({1, 2, 5, 3}, 68)), packed, {});
  });
  expect_error(ErrorCode::internal, "[bind_conv2d]", [&] {
    backend.bind_conv2d(parameter("w", random({4, 3, 3, 3}, 69)), std::nullopt, 3);
  });
  expect_error(ErrorCode::internal, "[bind_conv2d]", [&] {
    backend.bind_conv2d(parameter("w", random({4, 3, 3, 3}, 70)), parameter("b", random({3}, 71)), 1);
  });
}

Conv2dOptions conv_options(std::int64_t stride, std::int64_t top, std::int64_t left, std::int64_t bottom,
                           std::int64_t right, std::int64_t groups, Activation activation) {
  return {stride, top, left, bottom, right, groups, activation};
}

}  // namespace

void append_convolution_cases(std::vector<OperationCase>& cases) {
  using A = Activation;
  for (const ConvCase& c : std::vector<ConvCase>{
           {"Patches", {2, 8, 12, 3}, {10, 3, 4, 4}, Conv2dOptions::padded(0, 4)},
           {"Same", {1, 7, 5, 6}, {9, 6, 3, 3}, Conv2dOptions::padded(1)},
           {"Pointwise", {2, 3, 3, 13}, {7, 13, 1, 1}, Conv2dOptions::padded(0)},
           {"StridedOddSize", {1, 15, 11, 3}, {8, 3, 3, 3}, Conv2dOptions::padded(1, 2)},
           {"AsymmetricPadding", {2, 9, 8, 3}, {6, 3, 3, 3}, conv_options(2, 0, 1, 2, 0, 1, A::none)},
           {"Groups", {2, 6, 6, 6}, {8, 3, 3, 3}, conv_options(1, 1, 1, 1, 1, 2, A::none)},
           {"Depthwise", {1, 9, 9, 11}, {11, 1, 3, 3}, conv_options(1, 1, 1, 1, 1, 11, A::relu6)},
           {"DepthwiseAsymmetric", {1, 8, 8, 16}, {16, 1, 5, 5}, conv_options(2, 1, 1, 2, 2, 16, A::none)},
           {"OblongKernel", {1, 6, 9, 4}, {5, 4, 1, 3}, conv_options(1, 0, 1, 0, 1, 1, A::none)},
           {"FusesGelu", {1, 5, 5, 4}, {6, 4, 3, 3}, conv_options(1, 1, 1, 1, 1, 1, A::gelu)},
           {"FusesQuickGelu", {1, 5, 5, 4}, {6, 4, 3, 3}, conv_options(1, 1, 1, 1, 1, 1, A::quick_gelu)},
           {"FusesRelu", {1, 5, 5, 4}, {6, 4, 3, 3}, conv_options(1, 1, 1, 1, 1, 1, A::relu)},
           {"FusesRelu6", {1, 5, 5, 40}, {6, 40, 3, 3}, conv_options(1, 1, 1, 1, 1, 1, A::relu6)},
           {"FusesTanh", {1, 5, 5, 4}, {6, 4, 3, 3}, conv_options(1, 1, 1, 1, 1, 1, A::tanh)},
           {"FusesSilu", {1, 5, 5, 4}, {6, 4, 3, 3}, conv_options(1, 1, 1, 1, 1, 1, A::silu)},
       })
    cases.push_back({"Conv" + c.name, [c](Backend& backend) { convolution(backend, c); }});
  cases.push_back({"ConvServesSeveralSizes", convolution_sizes});
  cases.push_back({"ConvRejectsMismatches", convolution_rejects});
}

}  // namespace capdiff::test
