#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/torch/recorded_computation.h"
#include "capdiff/backends/torch/torch_headers.h"

namespace capdiff {

/// The backend with autograd, on LibTorch: training on any processor, and inference on CUDA.
///
/// Every bound parameter is one f32 leaf tensor, known by its name and shared by all layers that bind it, so an
/// optimiser sees tied weights once. With `compute = bf16` the operands of matrix products are cast on the way in,
/// which leaves weights, gradients and everything between the products in f32.
///
/// Operations record history whenever torch does: callers that only want values hold a `torch::NoGradGuard`. Those that
/// never train say `infer_only`.
/// One thread at a time may use a backend. The number of CPU threads is a setting of the whole process.
class TorchBackend final : public Backend {
 public:
  /// Throws `Error(unsupported)` where LibTorch has no such device, for compute types other than f32 and bf16, and for
  /// `deterministic`, which the libraries underneath cannot promise.
  TorchBackend(const BackendOptions& options, torch::Device device);

  // The border between models and training code.
  /// The tensor behind a value of this backend, with its history.
  static torch::Tensor tensor(const Value& value);
  /// A value that shares `tensor`, which must be f32, bf16 (a value of type f32 nevertheless) or i64.
  static Value value(torch::Tensor tensor);

  torch::Device device() const { return device_; }

  /// Dropout acts only while training. A new backend is not training.
  void train(bool training) { training_ = training; }
  bool training() const { return training_; }
  /// From now on nothing trains. With `compute = bf16`, what layers make stays bf16 until it meets f32, LayerNorm and
  /// softmax still computing in f32; on CUDA, recorded computations become CUDA graphs, and uploads do not wait.
  void infer_only();
  /// How computations are recorded from now on: on a CPU not at all, otherwise.
  void record_with(torch_detail::MakeRecording record) { record_ = std::move(record); }
  /// Floating-point operations, two a multiply-add, of all linear, attention and conv2d layers so far. A product that
  /// records history counts once more for each of its operands that needs a gradient: as much as the backward pass will
  /// do.
  double product_operations() const { return product_operations_; }
  /// Restarts the generator that dropout draws from.
  void seed(std::uint64_t seed);

  // Parameters, in the order in which they were bound.
  /// Decides which parameters require gradients, those bound already and those bound from now on. Without a call none
  /// do.
  void set_trainable(std::function<bool(const std::string&)> trainable);
  const std::vector<std::pair<std::string, torch::Tensor>>& parameters() const { return parameters_; }
  std::vector<std::pair<std::string, torch::Tensor>> trainable_parameters() const;
  /// A copy of one parameter. Throws `Error(not_found)` for an unknown name.
  HostTensor parameter(const std::string& name) const;
  /// Overwrites one parameter in place, for resuming and for weight averages. Throws `Error(not_found)` for an unknown
  /// name and `Error(invalid_model)` for another shape.
  void load_parameter(const std::string& name, const HostTensor& value);
  /// Copies of all parameters.
  std::map<std::string, HostTensor> state() const;

  std::string_view name() const override { return "torch"; }
  std::string library_version() const override { return TORCH_VERSION; }

  Value upload(const HostTensor& tensor) override;
  HostTensor download(const Value& value) override;

  /// The three forms of binding throw `Error(internal)` if a name is bound again with another shape or other values.
  Value bind(const Parameter& parameter) override;
  Packed bind_linear(std::span<const Parameter> weights, std::span<const Parameter> biases) override;
  Packed bind_conv2d(const Parameter& weight, const std::optional<Parameter>& bias, std::int64_t groups) override;

  Value linear(const Value& x, const Packed& weights, Activation activation, const Value& residual) override;
  Value layer_norm(const Value& x, const Value& gamma, const Value& beta, float eps, const Value& residual) override;
  Value attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options) override;
  Value embedding(const Value& table, const Value& ids) override;
  Value conv2d(const Value& x, const Packed& weights, const Conv2dOptions& options) override;
  Value dropout(const Value& x, float p) override;

  Computation record(Computation computation) override;

  Value add(const Value& a, const Value& b) override;
  Value mul(const Value& a, const Value& b) override;
  Value scale_add(float alpha, const Value& a, float beta, const Value& b) override;
  Value select(const Value& mask, const Value& a, const Value& b) override;
  Value activation(const Value& x, Activation activation) override;

  Value reshape(const Value& x, const Shape& shape) override;
  Value permute(const Value& x, std::span<const int> axes) override;
  Value concat(std::span<const Value> values, int axis) override;
  Value slice(const Value& x, int axis, std::int64_t begin, std::int64_t end) override;
  Value gather(const Value& x, const Value& indices) override;

  Value softmax(const Value& x) override;
  Value max(const Value& x) override;
  Value argmax(const Value& x) override;
  std::pair<Value, Value> top_k(const Value& x, std::int64_t k) override;
  /// x / max(‖x‖₂, 1e-12): a row of zeros stays one.
  Value l2_normalize(const Value& x) override;
  Value mean(const Value& x, int axis) override;

  Value mean_squared_error(const Value& a, const Value& b) override;
  Value mean_l2_distance(const Value& a, const Value& b) override;
  /// 0 where no row counts. Throws `Error(invalid_input)` for a target outside [-1, V).
  Value cross_entropy(const Value& logits, const Value& targets, float smoothing = 0.0f) override;

 private:
  torch::Tensor leaf(const Parameter& parameter);
  const torch::Tensor& find(const std::string& name) const;
  /// Counts a product of two operands.
  void count(double multiply_adds, const torch::Tensor& a, const torch::Tensor& b);
  torch::Tensor drop(const torch::Tensor& x, float p);
  /// Whether layers give bf16.
  bool keeps_bf16() const { return inference_ && options_.compute == DType::bf16; }
  /// `attention` for bf16 without masks, in as few passes over memory as LibTorch has.
  torch::Tensor fused_attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options);
  at::ScalarType compute_type() const { return options_.compute == DType::bf16 ? at::kBFloat16 : at::kFloat; }

  torch::Device device_;
  at::Generator generator_;
  bool training_ = false, inference_ = false;
  torch_detail::MakeRecording record_;
  double product_operations_ = 0;
  std::function<bool(const std::string&)> trainable_;
  std::vector<std::pair<std::string, torch::Tensor>> parameters_;
  std::unordered_map<std::string, std::size_t> index_;
};

std::unique_ptr<TorchBackend> make_torch_backend(const BackendOptions& options, torch::Device device = torch::kCPU);

}  // namespace capdiff
