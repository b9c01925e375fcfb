#include "capdiff/backends/torch/torch_backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>

#include "capdiff/backends/torch/inference_backend.h"
#include "capdiff/backends/torch/operation.h"
#include "capdiff/backends/torch/packed_tensors.h"
#include "capdiff/backends/torch/torch_storage.h"
#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using torch_detail::guarded;
using torch_detail::PackedTensors;
using torch_detail::TorchStorage;

/// Larger tensors are copied to a device from where they are: page-locked memory is scarce.
constexpr std::int64_t kMaxPinnedBytes = std::int64_t{1} << 26;

at::ScalarType scalar_type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return at::kFloat;
    case DType::f16: return at::kHalf;
    case DType::bf16: return at::kBFloat16;
    case DType::i64: return at::kLong;
    case DType::i32: return at::kInt;
    case DType::i16: return at::kShort;
    case DType::i8: return at::kChar;
    case DType::u8:
    case DType::boolean: return at::kByte;
    case DType::f64: break;
  }
  fail(ErrorCode::internal, "[upload] a tensor of type {}", name_of(dtype));
}

Shape shape_of(const torch::Tensor& tensor) {
  return Shape(tensor.sizes().vec());
}

/// A copy on `device`, f32 or i64. With `queued` the copy may still be under way, in the order of the device's work.
torch::Tensor copied(const HostTensor& host, torch::Device device, bool queued = false) {
  const at::ScalarType type = scalar_type_of(host.dtype());
  const at::ScalarType target = at::isFloatingType(type) ? at::kFloat : at::kLong;
  const auto options = torch::dtype(type);
  if (host.numel() == 0) return torch::empty(host.shape().sizes(), torch::dtype(target).device(device));
  // torch has no view of constant memory; this one is only read.
  void* bytes = const_cast<std::byte*>(host.bytes().data());
  const torch::Tensor here = torch::from_blob(bytes, host.shape().sizes(), options);
  if (queued) return here.pin_memory().to(device, target, /*non_blocking=*/true);
  return here.to(device, target, /*non_blocking=*/false, /*copy=*/true);
}

HostTensor copied(const torch::Tensor& tensor) {
  torch::Tensor source = tensor.detach().to(torch::kCPU).contiguous();
  if (source.scalar_type() == at::kBFloat16) source = source.to(at::kFloat);
  HostTensor host(source.scalar_type() == at::kLong ? DType::i64 : DType::f32, shape_of(source));
  if (host.numel() != 0) std::memcpy(host.mutable_bytes().data(), source.data_ptr(), host.byte_size());
  return host;
}

TorchStorage::Range range_of(const HostTensor& host) {
  if (host.dtype() != DType::i64 || host.numel() == 0) return {};
  const auto [lowest, highest] = std::ranges::minmax(host.values<std::int64_t>());
  return std::pair(lowest, highest);
}

/// Holds OpenBLAS, where LibTorch loaded it, to as many threads: its pthread build does not follow LibTorch.
void limit_openblas_threads(int threads) {
  if (void* function = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
    reinterpret_cast<void (*)(int)>(function)(threads);
}

}  // namespace

TorchBackend::TorchBackend(const BackendOptions& options, torch::Device device) : Backend(options), device_(device) {
  if (options.compute != DType::f32 && options.compute != DType::bf16)
    fail(ErrorCode::unsupported, "the torch backend computes in f32 or bf16, not in {}", name_of(options.compute));
  if (options.deterministic)
    fail(ErrorCode::unsupported, "only the onednn backend can make results independent of batch size and threads");
  if (options.threads < 0)
    fail(ErrorCode::usage, "the number of threads must not be negative, but is {}", options.threads);
  if (device.is_cuda() && !torch::cuda::is_available())
    fail(ErrorCode::unsupported, "this build of LibTorch finds no CUDA device");
  if (!device.is_cuda() && !device.is_cpu())
    fail(ErrorCode::unsupported, "the torch backend runs on cpu and cuda, not on {}", device.str());

  if (options.threads > 0) at::set_num_threads(options.threads);
  options_.threads = at::get_num_threads();
  limit_openblas_threads(at::get_num_threads());
  // f32 means f32: TensorFloat-32 would keep ten bits of the mantissa.
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  guarded("torch", [&] { generator_ = at::globalContext().defaultGenerator(device).clone(); });
  seed(0);
}

void TorchBackend::seed(std::uint64_t seed) {
  generator_.set_current_seed(seed);
}

torch::Tensor TorchBackend::tensor(const Value& value) {
  return TorchStorage::of(value).tensor();
}

Value TorchBackend::value(torch::Tensor tensor) {
  const at::ScalarType type = tensor.scalar_type();
  if (type != at::kFloat && type != at::kBFloat16 && type != at::kLong)
    fail(ErrorCode::internal, "a value must be f32, bf16 or i64, not {}", c10::toString(type));
  Shape shape = shape_of(tensor);
  return Value(std::make_shared<TorchStorage>(std::move(tensor)), std::move(shape),
               type == at::kLong ? DType::i64 : DType::f32);
}

Value TorchBackend::upload(const HostTensor& tensor) {
  return guarded("upload", [&] {
    const bool queued = inference_ && device_.is_cuda() && tensor.byte_size() <= kMaxPinnedBytes;
    const Value uploaded = value(copied(tensor, device_, queued));
    const TorchStorage::Range range = range_of(tensor);
    if (!range) return uploaded;
    return Value(std::make_shared<TorchStorage>(TorchBackend::tensor(uploaded), range), uploaded.shape(),
                 uploaded.dtype());
  });
}

HostTensor TorchBackend::download(const Value& value) {
  return guarded("download", [&] { return copied(tensor(value)); });
}

Computation TorchBackend::record(Computation computation) {
  if (!record_) return computation;
  return torch_detail::RecordedComputation(std::move(computation), record_);
}

void TorchBackend::infer_only() {
  inference_ = true;
  if (device_.is_cuda()) record_ = torch_detail::make_cuda_graph;
}

void TorchBackend::set_trainable(std::function<bool(const std::string&)> trainable) {
  trainable_ = std::move(trainable);
  for (auto& [name, tensor] : parameters_) {
    const bool wanted = trainable_ && trainable_(name);
    if (!wanted && tensor.requires_grad()) {
      tensor.mutable_grad().reset();
      // Optimisers may have written without being counted, and from here on kept weights rely on the count.
      torch::autograd::impl::bump_version(tensor);
    }
    tensor.requires_grad_(wanted);
  }
}

std::vector<std::pair<std::string, torch::Tensor>> TorchBackend::trainable_parameters() const {
  std::vector<std::pair<std::string, torch::Tensor>> trainable;
  for (const auto& parameter : parameters_)
    if (parameter.second.requires_grad()) trainable.push_back(parameter);
  return trainable;
}

const torch::Tensor& TorchBackend::find(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(ErrorCode::not_found, "the model has no parameter '{}'", name);
  return parameters_[found->second].second;
}

HostTensor TorchBackend::parameter(const std::string& name) const {
  const torch::Tensor& tensor = find(name);
  return guarded("parameter", [&] { return copied(tensor); });
}

void TorchBackend::load_parameter(const std::string& name, const HostTensor& value) {
  torch::Tensor tensor = find(name);
  if (shape_of(tensor) != value.shape())
    fail(ErrorCode::invalid_model, "parameter '{}' has the shape {}, expected {}", name, to_string(value.shape()),
         to_string(shape_of(tensor)));
  guarded("load_parameter", [&] {
    const torch::NoGradGuard no_grad;
    tensor.copy_(copied(value, device_));
  });
}

std::map<std::string, HostTensor> TorchBackend::state() const {
  return guarded("state", [&] {
    std::map<std::string, HostTensor> state;
    for (const auto& [name, tensor] : parameters_) state.emplace(name, copied(tensor));
    return state;
  });
}

torch::Tensor TorchBackend::leaf(const Parameter& parameter) {
  if (parameter.value.dtype() != DType::f32 && parameter.value.dtype() != DType::bf16)
    fail(ErrorCode::internal, "[bind] parameter '{}' is {}, expected F32 or BF16", parameter.name,
         name_of(parameter.value.dtype()));
  return guarded("bind", [&] {
    torch::Tensor fresh = copied(parameter.value, device_);
    const auto [found, is_new] = index_.try_emplace(parameter.name, parameters_.size());
    if (!is_new) {
      const torch::Tensor& known = parameters_[found->second].second;
      if (known.sizes() != fresh.sizes() || !torch::equal(known.detach(), fresh))
        fail(ErrorCode::internal, "[bind] parameter '{}' of shape {} is bound already, with shape {} and other values",
             parameter.name, to_string(shape_of(fresh)), to_string(shape_of(known)));
      return known;
    }
    fresh.requires_grad_(trainable_ && trainable_(parameter.name));
    parameters_.emplace_back(parameter.name, fresh);
    return fresh;
  });
}

Value TorchBackend::bind(const Parameter& parameter) {
  return value(leaf(parameter));
}

Packed TorchBackend::bind_linear(std::span<const Parameter> weights, std::span<const Parameter> biases) {
  if (weights.empty()) fail(ErrorCode::internal, "[bind_linear] no weights");
  if (!biases.empty() && biases.size() != weights.size())
    fail(ErrorCode::internal, "[bind_linear] {} biases for {} weights", biases.size(), weights.size());
  std::int64_t out = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Shape& shape = weights[i].value.shape();
    if (shape.rank() != 2 || shape[1] != weights[0].value.shape()[1])
      fail(ErrorCode::internal,
           "[bind_linear] '{}' has the shape {}, '{}' the shape {}; expected [out, in] with one in", weights[i].name,
           to_string(shape), weights[0].name, to_string(weights[0].value.shape()));
    if (!biases.empty() && biases[i].value.shape() != Shape{shape[0]})
      fail(ErrorCode::internal, "[bind_linear] '{}' has the shape {}, expected [{}]", biases[i].name,
           to_string(biases[i].value.shape()), shape[0]);
    out += shape[0];
  }
  std::vector<torch::Tensor> weight_leaves, bias_leaves;
  for (const Parameter& weight : weights) weight_leaves.push_back(leaf(weight));
  for (const Parameter& bias : biases) bias_leaves.push_back(leaf(bias));
  return Packed(std::make_shared<PackedTensors>(std::move(weight_leaves), std::move(bias_leaves)),
                Shape{out, weights[0].value.shape()[1]});
}

Packed TorchBackend::bind_conv2d(const Parameter& weight, const std::optional<Parameter>& bias, std::int64_t groups) {
  const Shape& shape = weight.value.shape();
  if (shape.rank() != 4 || groups < 1 || shape[0] % groups != 0)
    fail(ErrorCode::internal, "[bind_conv2d] '{}' has the shape {}, expected [out, in / {}, height, width]",
         weight.name, to_string(shape), groups);
  if (bias && bias->value.shape() != Shape{shape[0]})
    fail(ErrorCode::internal, "[bind_conv2d] '{}' has the shape {}, expected [{}]", bias->name,
         to_string(bias->value.shape()), shape[0]);
  std::vector<torch::Tensor> bias_leaf;
  torch::Tensor weight_leaf = leaf(weight);
  if (bias) bias_leaf.push_back(leaf(*bias));
  return Packed(std::make_shared<PackedTensors>(std::vector{std::move(weight_leaf)}, std::move(bias_leaf), groups),
                shape);
}

std::unique_ptr<TorchBackend> make_torch_backend(const BackendOptions& options, torch::Device device) {
  return std::make_unique<TorchBackend>(options, device);
}

std::unique_ptr<Backend> make_torch_inference_backend(const BackendOptions& options, bool on_cuda) {
  auto backend = make_torch_backend(options, on_cuda ? torch::Device(torch::kCUDA, 0) : torch::kCPU);
  backend->infer_only();
  return backend;
}

}  // namespace capdiff
