#include "capdiff/backends/torch/torch_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/expect_error.h"

namespace capdiff {
namespace {

using test::expect_error;
using testing::ElementsAre;

Parameter parameter(std::string name, Shape shape, float first = 1.0f) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), first);
  return {std::move(name), HostTensor::of(std::move(shape), values)};
}

HostTensor zeros(Shape shape) {
  return HostTensor(DType::f32, std::move(shape));
}

std::vector<float> floats(const HostTensor& tensor) {
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

class TorchBackendTest : public testing::Test {
 protected:
  std::vector<std::string> trainable_names() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : backend_->trainable_parameters()) names.push_back(name);
    return names;
  }

  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
};

TEST_F(TorchBackendTest, OneNameIsOneTensor) {
  const Value table = backend_->bind(parameter("embedding", {4, 3}));
  const Parameter head[] = {parameter("embedding", {4, 3})};
  backend_->bind_linear(head, {});
  ASSERT_EQ(backend_->parameters().size(), 1u);
  EXPECT_TRUE(backend_->parameters()[0].second.is_same(TorchBackend::tensor(table)));
}

TEST_F(TorchBackendTest, OneNameCannotBeTwoTensors) {
  backend_->bind(parameter("gamma", {3}));
  expect_error(ErrorCode::internal, "'gamma'", [&] { backend_->bind(parameter("gamma", {4})); });
  expect_error(ErrorCode::internal, "'gamma'", [&] { backend_->bind(parameter("gamma", {3}, 2.0f)); });
  EXPECT_EQ(backend_->parameters().size(), 1u);
}

TEST_F(TorchBackendTest, ParametersKeepTheOrderOfBinding) {
  backend_->bind(parameter("z", {1}));
  const Parameter weights[] = {parameter("q", {2, 3}), parameter("a", {1, 3})};
  const Parameter biases[] = {parameter("q.bias", {2}), parameter("a.bias", {1})};
  backend_->bind_linear(weights, biases);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : backend_->parameters()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("z", "q", "a", "q.bias", "a.bias"));
}

TEST_F(TorchBackendTest, TrainabilityCoversPastAndFutureBindings) {
  backend_->bind(parameter("encoder.a", {1}));
  backend_->bind(parameter("decoder.a", {1}));
  EXPECT_TRUE(trainable_names().empty());
  backend_->set_trainable([](const std::string& name) { return name.starts_with("decoder."); });
  backend_->bind(parameter("decoder.b", {1}));
  backend_->bind(parameter("encoder.b", {1}));
  EXPECT_THAT(trainable_names(), ElementsAre("decoder.a", "decoder.b"));
  backend_->set_trainable([](const std::string& name) { return name == "encoder.b"; });
  EXPECT_THAT(trainable_names(), ElementsAre("encoder.b"));
}

TEST_F(TorchBackendTest, Bf16ParametersBecomeF32) {
  Parameter half = parameter("w", {2, 2});
  half.value = half.value.to(DType::bf16);
  backend_->bind(half);
  EXPECT_EQ(backend_->parameter("w").dtype(), DType::f32);
  EXPECT_THAT(floats(backend_->parameter("w")), ElementsAre(1, 2, 3, 4));
}

TEST_F(TorchBackendTest, BindingCopies) {
  Parameter p = parameter("w", {2});
  backend_->bind(p);
  p.value.mutable_values<float>()[0] = 9.0f;
  EXPECT_THAT(floats(backend_->parameter("w")), ElementsAre(1, 2));
  const HostTensor before = backend_->parameter("w");
  backend_->load_parameter("w", zeros({2}));
  EXPECT_THAT(floats(before), ElementsAre(1, 2));
}

TEST_F(TorchBackendTest, LoadingIsChecked) {
  backend_->bind(parameter("w", {2}));
  expect_error(ErrorCode::not_found, "'v'", [&] { backend_->load_parameter("v", zeros({2})); });
  expect_error(ErrorCode::not_found, "'v'", [&] { backend_->parameter("v"); });
  expect_error(ErrorCode::invalid_model, "[3], expected [2]", [&] { backend_->load_parameter("w", zeros({3})); });
}

TEST_F(TorchBackendTest, StateHoldsEveryParameter) {
  backend_->bind(parameter("b", {2}));
  backend_->bind(parameter("a", {1}, 7.0f));
  const auto state = backend_->state();
  ASSERT_EQ(state.size(), 2u);
  EXPECT_THAT(floats(state.at("a")), ElementsAre(7));
  EXPECT_THAT(floats(state.at("b")), ElementsAre(1, 2));
}

// A frozen layer keeps its stacked, cast weights; everything that writes to a leaf must be seen all the same.
class WritesAreSeen : public testing::TestWithParam<DType> {};

TEST_P(WritesAreSeen, ByFusedLayers) {
  const auto backend = make_torch_backend({.compute = GetParam()});
  const Parameter weights[] = {parameter("q", {1, 2}), parameter("k", {1, 2}, 3.0f)};
  const Packed packed = backend->bind_linear(weights, {});
  const Value x = backend->upload(HostTensor::of({1, 2}, {1.0f, 1.0f}));
  const auto y = [&] { return floats(backend->download(backend->linear(x, packed, Activation::none, {}))); };
  EXPECT_THAT(y(), ElementsAre(3, 7));

  backend->load_parameter("k", HostTensor::of({1, 2}, {5.0f, 5.0f}));
  EXPECT_THAT(y(), ElementsAre(3, 10));

  backend->set_trainable([](const std::string&) { return true; });
  torch::optim::SGD optimiser({backend->parameters()[0].second}, torch::optim::SGDOptions(1.0));
  TorchBackend::tensor(backend->linear(x, packed, Activation::none, {})).sum().backward();
  {
    const torch::NoGradGuard no_grad;
    EXPECT_THAT(y(), ElementsAre(3, 10));
    optimiser.step();
    EXPECT_THAT(y(), ElementsAre(1, 10));
  }
  backend->set_trainable({});
  EXPECT_THAT(y(), ElementsAre(1, 10));

  // A tied layer may train the leaf while this one is not used.
  backend->set_trainable([](const std::string&) { return true; });
  backend->parameters()[0].second.mutable_grad() = torch::ones({1, 2});
  optimiser.step();
  backend->set_trainable({});
  EXPECT_THAT(y(), ElementsAre(-1, 10));
}

INSTANTIATE_TEST_SUITE_P(Compute, WritesAreSeen, testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST_F(TorchBackendTest, UploadWidens) {
  const std::uint8_t bytes[] = {0, 255};
  const auto u8 = HostTensor::view(DType::u8, {2}, std::as_bytes(std::span(bytes)), nullptr);
  const HostTensor wide = backend_->download(backend_->upload(u8));
  EXPECT_EQ(wide.dtype(), DType::i64);
  EXPECT_THAT(wide.values<std::int64_t>(), ElementsAre(0, 255));
  const auto f16 = HostTensor::of({2}, {0.5f, -2.0f}).to(DType::f16);
  EXPECT_THAT(floats(backend_->download(backend_->upload(f16))), ElementsAre(0.5f, -2.0f));
  EXPECT_EQ(backend_->download(backend_->upload(zeros({0, 3}))).shape(), (Shape{0, 3}));
  expect_error(ErrorCode::internal, "[upload]", [&] { backend_->upload(HostTensor(DType::f64, {1})); });
}

TEST_F(TorchBackendTest, DownloadOfAViewIsRowMajor) {
  const Value x = backend_->upload(HostTensor::of({2, 3}, {1, 2, 3, 4, 5, 6}));
  const int axes[] = {1, 0};
  EXPECT_THAT(floats(backend_->download(backend_->permute(x, axes))), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST_F(TorchBackendTest, MismatchesNameTheOperation) {
  const Parameter weights[] = {parameter("w", {3, 7})};
  const Packed packed = backend_->bind_linear(weights, {});
  const Value x = backend_->upload(zeros({2, 5})), y = backend_->upload(zeros({2, 4}));
  expect_error(ErrorCode::internal, "[linear] x has 5 columns, the weights expect 7",
               [&] { backend_->linear(x, packed, Activation::none, {}); });
  expect_error(ErrorCode::internal, "[add] ", [&] { backend_->add(x, y); });
  expect_error(ErrorCode::internal, "[reshape] ", [&] { backend_->reshape(x, {3, 3}); });
  const Value both[] = {x, y};
  expect_error(ErrorCode::internal, "[concat] ", [&] { backend_->concat(both, 0); });
  expect_error(ErrorCode::internal, "[slice] ", [&] { backend_->slice(x, 1, 2, 6); });
  const int axes[] = {0, 0};
  expect_error(ErrorCode::internal, "[permute] ", [&] { backend_->permute(x, axes); });
  expect_error(ErrorCode::internal, "[attention] ", [&] { backend_->attention(x, x, x, {}); });
}

TEST_F(TorchBackendTest, ErrorsOfTorchAreOurs) {
  const Value ids = TorchBackend::value(torch::ones({2, 2}, torch::kLong));
  expect_error(ErrorCode::internal, "[softmax] ", [&] { backend_->softmax(ids); });
  expect_error(ErrorCode::internal, "empty value", [&] { backend_->activation({}, Activation::relu); });
}

TEST_F(TorchBackendTest, IdsOutsideTheTableAreInvalidInput) {
  const Value table = backend_->bind(parameter("table", {5, 2}));
  for (const std::int64_t id : {std::int64_t{5}, std::int64_t{-1}}) {
    const Value ids = backend_->upload(HostTensor::of({1}, std::span(&id, 1)));
    expect_error(ErrorCode::invalid_input, std::to_string(id), [&] { backend_->embedding(table, ids); });
  }
}

TEST_F(TorchBackendTest, DropoutActsOnlyWhileTraining) {
  const Value x = backend_->upload(HostTensor::of({2}, {1.0f, 2.0f}));
  EXPECT_THAT(floats(backend_->download(backend_->dropout(x, 0.9f))), ElementsAre(1, 2));
  backend_->train(true);
  EXPECT_THAT(floats(backend_->download(backend_->dropout(x, 0.0f))), ElementsAre(1, 2));
  expect_error(ErrorCode::internal, "[dropout] ", [&] { backend_->dropout(x, 1.0f); });
}

TEST_F(TorchBackendTest, DropoutKeepsTheMean) {
  backend_->train(true);
  const Value ones = TorchBackend::value(torch::ones({401, 499}));
  const auto y = TorchBackend::tensor(backend_->dropout(ones, 0.3f));
  const double kept = (y != 0).to(torch::kDouble).mean().item<double>();
  EXPECT_NEAR(kept, 0.7, 0.006);  // six standard deviations
  EXPECT_TRUE(torch::allclose(y.masked_select(y != 0), torch::tensor(1.0f / 0.7f)));
}

TEST_F(TorchBackendTest, DropoutFollowsTheSeedAndTheMask) {
  backend_->train(true);
  const auto x = torch::ones({64, 3}).requires_grad_();
  const auto draw = [&] { return TorchBackend::tensor(backend_->dropout(TorchBackend::value(x), 0.5f)); };
  backend_->seed(7);
  const auto first = draw(), second = draw();
  backend_->seed(7);
  const auto again = draw();
  backend_->seed(8);
  const auto other = draw();
  EXPECT_TRUE(torch::equal(first, again));
  EXPECT_FALSE(torch::equal(first, second));
  EXPECT_FALSE(torch::equal(first, other));
  first.sum().backward();
  EXPECT_TRUE(torch::equal(x.grad(), first.detach()));  // both are 0 or 1 / (1 − p)
}

TEST_F(TorchBackendTest, AttentionDropsProbabilities) {
  const Value q = TorchBackend::value(torch::zeros({1, 200, 2})), k = TorchBackend::value(torch::zeros({1, 4, 2}));
  const Value v = TorchBackend::value(torch::ones({1, 4, 2}));
  AttentionOptions options;
  options.dropout = 0.5f;
  EXPECT_TRUE(torch::equal(TorchBackend::tensor(backend_->attention(q, k, v, options)), torch::ones({1, 200, 2})));
  backend_->train(true);
  const auto y = TorchBackend::tensor(backend_->attention(q, k, v, options)).select(2, 0) * 2;
  EXPECT_TRUE(torch::equal(y, y.round()));  // multiples of ¼ / (1 − ½)
  EXPECT_GT(y.max().item<float>(), y.min().item<float>());
}

TEST_F(TorchBackendTest, NothingIsRecordedUnderNoGrad) {
  backend_->set_trainable([](const std::string&) { return true; });
  const Parameter weights[] = {parameter("w", {3, 2})};
  const Packed packed = backend_->bind_linear(weights, {});
  const Value x = backend_->upload(zeros({1, 2}));
  EXPECT_TRUE(TorchBackend::tensor(backend_->linear(x, packed, Activation::none, {})).requires_grad());
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(TorchBackend::tensor(backend_->linear(x, packed, Activation::none, {})).requires_grad());
}

TEST_F(TorchBackendTest, CountsTheOperationsOfProducts) {
  backend_->set_trainable([](const std::string& name) { return name == "w"; });
  const Parameter weights[] = {parameter("w", {3, 2})};
  const Packed packed = backend_->bind_linear(weights, {});
  const Value x = backend_->upload(zeros({5, 2}));
  const auto counted = [&](const std::function<Value()>& run) {
    const double before = backend_->product_operations();
    run();
    return backend_->product_operations() - before;
  };
  constexpr double kLinear = 2 * 5 * 2 * 3;
  EXPECT_EQ(counted([&] { return backend_->linear(x, packed, Activation::none, {}); }), 2 * kLinear);
  {
    const torch::NoGradGuard no_grad;
    EXPECT_EQ(counted([&] { return backend_->linear(x, packed, Activation::none, {}); }), kLinear);
  }
  // Scores and sums over 4 queries, 7 keys and two heads of width 3 and 2.
  const Value q = backend_->upload(zeros({1, 4, 6})), k = backend_->upload(zeros({1, 7, 6}));
  const Value v = backend_->upload(zeros({1, 7, 4}));
  EXPECT_EQ(counted([&] { return backend_->attention(q, k, v, {.heads = 2}); }), 2 * 4 * 7 * (6 + 4));
  const Packed kernel = backend_->bind_conv2d(parameter("kernel", {4, 1, 3, 3}), {}, 2);
  const Value image = backend_->upload(zeros({1, 5, 5, 2}));
  EXPECT_EQ(counted([&] { return backend_->conv2d(image, kernel, {.groups = 2}); }), 2 * 3 * 3 * 4 * 1 * 9);
}

TEST(MakeTorchBackend, RefusesWhatItCannotDo) {
  expect_error(ErrorCode::unsupported, "I8", [] { make_torch_backend({.compute = DType::i8}); });
  expect_error(ErrorCode::unsupported, "onednn", [] { make_torch_backend({.deterministic = true}); });
  if (!torch::cuda::is_available())
    expect_error(ErrorCode::unsupported, "CUDA", [] { make_torch_backend({}, torch::kCUDA); });
}

TEST(MakeTorchBackend, LimitsThreads) {
  const int before = at::get_num_threads();
  make_torch_backend({.threads = 1});
  EXPECT_EQ(at::get_num_threads(), 1);
  at::set_num_threads(before);
}

}  // namespace
}  // namespace capdiff
