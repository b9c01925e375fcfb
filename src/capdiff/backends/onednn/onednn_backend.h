#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/onednn/buffer.h"
#include "capdiff/backends/onednn/dnnl_common.h"
#include "capdiff/backends/onednn/dnnl_conv.h"
#include "capdiff/backends/onednn/dnnl_matmul.h"

namespace capdiff::onednn {

struct LinearLayer;

/// The vocabulary on the CPU: matrix products and convolutions by oneDNN, everything else by OpenMP loops. Values are
/// plain row-major memory; reshapes and slices share it. What needs the elements of a slice behind each other has them
/// copied once. Operations may be called from several
/// threads at once.
class OneDnnBackend final : public Backend {
 public:
  explicit OneDnnBackend(BackendOptions options);

  std::string_view name() const override { return "onednn"; }
  std::string library_version() const override { return onednn::library_version(); }

  Value upload(const HostTensor& tensor) override;
  HostTensor download(const Value& value) override;

  Value bind(const Parameter& parameter) override;
  Packed bind_linear(std::span<const Parameter> weights, std::span<const Parameter> biases) override;
  Packed bind_conv2d(const Parameter& weight, const std::optional<Parameter>& bias, std::int64_t groups) override;

  Value linear(const Value& x, const Packed& weights, Activation activation, const Value& residual) override;
  Value layer_norm(const Value& x, const Value& gamma, const Value& beta, float eps, const Value& residual) override;
  Value attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options) override;
  Value embedding(const Value& table, const Value& ids) override;
  Value conv2d(const Value& x, const Packed& weights, const Conv2dOptions& options) override;
  Value dropout(const Value& x, float p) override;

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
  Value l2_normalize(const Value& x) override;
  Value mean(const Value& x, int axis) override;

  Value mean_squared_error(const Value& a, const Value& b) override;
  Value mean_l2_distance(const Value& a, const Value& b) override;
  Value cross_entropy(const Value& logits, const Value& targets, float smoothing) override;

 private:
  /// A fresh value and the memory to fill it through.
  template <class T>
  struct Output {
    Value value;
    T* data;
  };
  template <class T>
  Output<T> output(const Shape& shape);

  /// Threads for work of about `steps` elementary steps.
  int threads_for(double steps) const;
  /// Rounds all of x to bf16, in memory of the pool.
  std::shared_ptr<std::byte> rounded_to_bf16(const float* x, std::int64_t n);
  /// Quantises and packs `weights` f32 [out, in] into `layer`.
  void bind_int8(const HostTensor& weights, int threads, LinearLayer& layer);
  void linear_int8(const MatmulSpec& spec, const LinearLayer& layer, const MatmulArguments& arguments);
  void linear_by_blocks(const MatmulSpec& spec, const PackedWeights& weights, const MatmulArguments& arguments);

  std::shared_ptr<BufferPool> pool_ = std::make_shared<BufferPool>();
  Matmul matmul_;
  Conv conv_;
  int threads_ = 1;
};

template <class T>
OneDnnBackend::Output<T> OneDnnBackend::output(const Shape& shape) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, std::int64_t>);
  constexpr DType dtype = std::is_same_v<T, float> ? DType::f32 : DType::i64;
  const std::size_t bytes = checked_bytes(shape, sizeof(T));
  std::shared_ptr<std::byte> memory = pool_->allocate(bytes);
  T* const data = reinterpret_cast<T*>(memory.get());
  const auto* const first = memory.get();
  return {Value(std::make_shared<const Buffer>(std::move(memory), first), shape, dtype), data};
}

/// The elements of an operand; a mistake in its presence or type is reported in the name of `operation`.
const float* floats(std::string_view operation, const Value& value);
const std::int64_t* integers(std::string_view operation, const Value& value);

/// Fails unless the operand exists.
void expect_value(std::string_view operation, const Value& value);

/// `axis` counted from the front; fails when there is no such axis.
int checked_axis(std::string_view operation, const Value& value, int axis);

}  // namespace capdiff::onednn
