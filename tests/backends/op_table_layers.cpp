#include <cmath>

#include "tests/backends/op_reference.h"

namespace capdiff::test {
namespace {

struct NamedActivation {
  std::string name;
  Activation activation;
};

const std::vector<NamedActivation> kActivations = {
    {"None", Activation::none}, {"Gelu", Activation::gelu},   {"QuickGelu", Activation::quick_gelu},
    {"Relu", Activation::relu}, {"Relu6", Activation::relu6}, {"Tanh", Activation::tanh},
    {"Silu", Activation::silu}};

struct Sizes {
  std::int64_t rows, in, out;
};

/// Weights of a magnitude that keeps the sums of `in` products near 1.
Array weights_of(const Sizes& sizes, std::uint32_t seed) {
  const double bound = std::sqrt(3.0 / static_cast<double>(sizes.in));
  return random({sizes.out, sizes.in}, seed, -bound, bound);
}

void linear_of(Backend& backend, const Sizes& sizes) {
  const Array x = random({sizes.rows, sizes.in}, 1, -2, 2), weights = weights_of(sizes, 2),
              bias = random({sizes.out}, 3);
  const std::vector<Parameter> w{parameter("w", weights)}, b{parameter("b", bias)};
  const Packed with_bias = backend.bind_linear(w, b);
  EXPECT_EQ(with_bias.shape(), (Shape{sizes.out, sizes.in}));
  expect_close(backend, backend.linear(upload(backend, x), with_bias), reference::linear(x, weights, bias),
               linear_tolerance(backend));
  expect_close(backend, backend.linear(upload(backend, x), backend.bind_linear(w, {})),
               reference::linear(x, weights, {}), linear_tolerance(backend));
}

void linear_activation(Backend& backend, Activation activation, bool with_residual) {
  const Sizes sizes{13, 37, 29};
  const Array x = random({13, 37}, 4, -3, 3), weights = weights_of(sizes, 5), bias = random({29}, 6, -4, 4);
  const Array residual = random({13, 29}, 7);
  const std::vector<Parameter> w{parameter("w", weights)}, b{parameter("b", bias)};
  Array want = reference::map(reference::linear(x, weights, bias),
                              [&](double value) { return reference::activation(value, activation); });
  if (with_residual) want = reference::broadcast({want, residual}, [](const auto& a) { return a[0] + a[1]; });
  const Value input = upload(backend, x), other = upload(backend, residual);
  const Value got = backend.linear(input, backend.bind_linear(w, b), activation, with_residual ? other : Value());
  expect_close(backend, got, want, linear_tolerance(backend));
  expect_close(backend, other, residual, 0.0);
  expect_close(backend, input, x, 0.0);
}

void linear_stacks(Backend& backend) {
  const Array x = random({2, 5, 12}, 8);
  const Array q = random({7, 12}, 9), k = random({4, 12}, 10), v = random({9, 12}, 11);
  const Array bq = random({7}, 12), bk = random({4}, 13), bv = random({9}, 14);
  Array weights{Shape{20, 12}, q.values}, bias{Shape{20}, bq.values};
  for (const Array* part : {&k, &v})
    weights.values.insert(weights.values.end(), part->values.begin(), part->values.end());
  for (const Array* part : {&bk, &bv}) bias.values.insert(bias.values.end(), part->values.begin(), part->values.end());
  const std::vector<Parameter> w{parameter("q", q), parameter("k", k), parameter("v", v)};
  const std::vector<Parameter> b{parameter("bq", bq), parameter("bk", bk), parameter("bv", bv)};
  expect_close(backend, backend.linear(upload(backend, x), backend.bind_linear(w, b)),
               reference::linear(x, weights, bias), linear_tolerance(backend));
}

void linear_bf16_weights(Backend& backend) {
  Array weights = weights_of({3, 21, 10}, 15), bias = random({10}, 16);
  for (Array* array : {&weights, &bias})
    for (double& value : array->values) value = bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
  const Array x = random({3, 21}, 17);
  const std::vector<Parameter> w{parameter("w", weights, DType::bf16)}, b{parameter("b", bias, DType::bf16)};
  expect_close(backend, backend.linear(upload(backend, x), backend.bind_linear(w, b)),
               reference::linear(x, weights, bias), linear_tolerance(backend));
}

void linear_rejects(Backend& backend) {
  const std::vector<Parameter> w{parameter("w", random({4, 7}, 18))};
  const Packed packed = backend.bind_linear(w, {});
  const Value x = upload(backend, random({3, 5}, 19)), fitting = upload(backend, random({3, 7}, 20));
  expect_error(ErrorCode::internal, "[linear] x has 5 columns, the weights expect 7",
               [&] { backend.linear(x, packed); });
  expect_error(ErrorCode::internal, "[linear]", [&] {
    backend.linear(fitting, packed, Activation::none, upload(backend, random({4, 3}, 21)));
  });
  expect_error(ErrorCode::internal, "[linear]", [&] {
    backend.linear(upload_ids(backend, {1, 7}, {1, 2, 3, 4, 5, 6, 7}), packed);
  });
  expect_error(ErrorCode::internal, "[bind_linear]", [&] {
    const std::vector<Parameter> uneven{parameter("w", random({4, 7}, 22)), parameter("u", random({4, 6}, 23))};
    backend.bind_linear(uneven, {});
  });
  expect_error(ErrorCode::internal, "[bind_linear]", [&] {
    const std::vector<Parameter> bias{parameter("b", random({5}, 24))};
    backend.bind_linear(w, bias);
  });
}

void layer_norm(Backend& backend, std::int64_t cols) {
  const Array x = random({2, 3, cols}, 25, -3, 5), residual = random({2, 3, cols}, 26);
  const Array gamma = random({cols}, 27, 0.5, 2), beta = random({cols}, 28);
  const Value g = backend.bind(parameter("gamma", gamma)), b = backend.bind(parameter("beta", beta));
  for (const float eps : {1e-5f, 1e-2f}) {
    const double exact = static_cast<double>(eps);
    expect_close(backend, backend.layer_norm(upload(backend, x), g, b, eps),
                 reference::layer_norm(x, gamma, beta, exact));
    const Array sum = reference::broadcast({x, residual}, [](const auto& a) { return a[0] + a[1]; });
    expect_close(backend, backend.layer_norm(upload(backend, x), g, b, eps, upload(backend, residual)),
                 reference::layer_norm(sum, gamma, beta, exact));
  }
}

void layer_norm_rejects(Backend& backend) {
  const Value x = upload(backend, random({2, 5}, 29)), gamma = upload(backend, random({5}, 30));
  const Value narrow = upload(backend, random({4}, 31));
  expect_error(ErrorCode::internal, "[layer_norm]", [&] { backend.layer_norm(x, narrow, gamma, 1e-5f); });
  expect_error(ErrorCode::internal, "[layer_norm]", [&] { backend.layer_norm(x, gamma, narrow, 1e-5f); });
  expect_error(ErrorCode::internal, "[layer_norm]", [&] { backend.layer_norm(x, gamma, gamma, 1e-5f, narrow); });
}

void embedding(Backend& backend) {
  const Array table = random({6, 5}, 32);
  const std::vector<std::int64_t> ids{0, 5, 3, 3, 1, 0};
  Array want = zeros({2, 3, 5});
  for (std::size_t i = 0; i < ids.size(); ++i)
    for (std::int64_t c = 0; c < 5; ++c) want[static_cast<std::int64_t>(i) * 5 + c] = table[ids[i] * 5 + c];
  const Value bound = backend.bind(parameter("table", table));
  expect_close(backend, backend.embedding(bound, upload_ids(backend, {2, 3}, ids)), want, 0.0);
  for (const std::int64_t id : {std::int64_t{6}, std::int64_t{-1}})
    expect_error(ErrorCode::invalid_input, "[embedding]", [&] {
      backend.embedding(bound, upload_ids(backend, {2}, {0, id}));
    });
  expect_error(ErrorCode::internal, "[embedding]", [&] { backend.embedding(bound, bound); });
}

void dropout(Backend& backend) {
  const Array x = random({3, 7}, 33);
  expect_close(backend, backend.dropout(upload(backend, x), 0.5f), x, 0.0);
}

void movement(Backend& backend) {
  const Array x = random({2, 3}, 34);
  const Value value = upload(backend, x);
  EXPECT_EQ(value.dtype(), DType::f32);
  expect_close(backend, value, x, 0.0);
  for (const DType dtype : {DType::bf16, DType::f16})
    expect_close(backend, backend.upload(parameter("x", array({3}, {0.5, -1.5, 4}), dtype).value),
                 array({3}, {0.5, -1.5, 4}), 0.0);
  HostTensor bytes(DType::u8, {3});
  for (std::size_t i = 0; i < 3; ++i) bytes.mutable_values<std::uint8_t>()[i] = static_cast<std::uint8_t>(100 * i);
  expect_ids(backend, backend.upload(bytes), {3}, {0, 100, 200});
  HostTensor words(DType::i32, {2});
  words.mutable_values<std::int32_t>()[1] = -7;
  expect_ids(backend, backend.upload(words), {2}, {0, -7});
  expect_close(backend, backend.bind(parameter("x", array({2}, {1, -2}), DType::bf16)), array({2}, {1, -2}), 0.0);
  expect_close(backend, backend.upload(HostTensor::scalar(3.0f)), array({}, {3.0}), 0.0);
}

}  // namespace

void append_layer_cases(std::vector<OperationCase>& cases) {
  cases.push_back({"MovementConverts", movement});
  for (const Sizes& sizes :
       {Sizes{1, 1, 1}, {1, 37, 29}, {5, 9, 1}, {13, 1, 5}, {17, 64, 64}, {50, 37, 130}, {3, 3072, 20}})
    cases.push_back(
        {"Linear" + std::to_string(sizes.rows) + "x" + std::to_string(sizes.in) + "x" + std::to_string(sizes.out),
         [sizes](Backend& backend) { linear_of(backend, sizes); }});
  for (const auto& [name, activation] : kActivations) {
    cases.push_back({"LinearFuses" + name, [=](Backend& backend) { linear_activation(backend, activation, false); }});
    cases.push_back(
        {"LinearFusesResidualAfter" + name, [=](Backend& backend) { linear_activation(backend, activation, true); }});
  }
  cases.push_back({"LinearStacksWeights", linear_stacks});
  cases.push_back({"LinearTakesBf16Weights", linear_bf16_weights});
  cases.push_back({"LinearRejectsMismatches", linear_rejects});
  for (const std::int64_t cols : {2, 7, 16, 100})
    cases.push_back({"LayerNorm" + std::to_string(cols), [cols](Backend& backend) { layer_norm(backend, cols); }});
  cases.push_back({"LayerNormRejectsMismatches", layer_norm_rejects});
  cases.push_back({"Embedding", embedding});
  cases.push_back({"DropoutIsIdentityOutsideTraining", dropout});
}

}  // namespace capdiff::test
