#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// A tensor that lives in a backend: a oneDNN buffer, a torch tensor with its autograd history, memory of a GPU.
/// Copies share it; no operation changes a Value in place. Element type: f32, or i64 for ids and positions.
class Value {
 public:
  struct Storage {
    virtual ~Storage() = default;
  };

  Value() = default;
  Value(std::shared_ptr<const Storage> storage, Shape shape, DType dtype = DType::f32)
      : storage_(std::move(storage)), shape_(std::move(shape)), dtype_(dtype) {}

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  const std::shared_ptr<const Storage>& storage() const { return storage_; }
  explicit operator bool() const { return storage_ != nullptr; }

 private:
  std::shared_ptr<const Storage> storage_;
  Shape shape_;
  DType dtype_ = DType::f32;
};

/// A named tensor of a model, as stored on disk or freshly initialised; f32 or bf16.
struct Parameter {
  std::string name;
  HostTensor value;
};

/// Weights of a matrix product or a convolution, bound once: packed, converted or shared with an optimiser as the
/// backend likes. `shape` is [out, in] or [out, in / groups, kernel height, kernel width].
class Packed {
 public:
  struct Storage {
    virtual ~Storage() = default;
  };

  Packed() = default;
  Packed(std::shared_ptr<const Storage> storage, Shape shape)
      : storage_(std::move(storage)), shape_(std::move(shape)) {}

  const Shape& shape() const { return shape_; }
  const std::shared_ptr<const Storage>& storage() const { return storage_; }

 private:
  std::shared_ptr<const Storage> storage_;
  Shape shape_;
};

/// gelu is the exact erf form; quick_gelu is x · sigmoid(1.702 x); relu6 is min(max(x, 0), 6).
enum class Activation { none, gelu, quick_gelu, relu, relu6, tanh, silu };

struct Conv2dOptions {
  std::int64_t stride = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  std::int64_t groups = 1;
  Activation activation = Activation::none;

  /// Equal zero padding on all sides.
  static Conv2dOptions padded(std::int64_t padding, std::int64_t stride = 1) {
    return {stride, padding, padding, padding, padding, 1, Activation::none};
  }
};

struct AttentionOptions {
  std::int64_t heads = 1;
  /// Optional f32 [Bk, Lk]: 1 where a key may be attended to, 0 where its probability is exactly 0.
  Value key_mask;
  /// Query i sees keys 0..i only; needs Lq == Lk.
  bool causal = false;
  /// Dropout on the probabilities; identity outside training.
  float dropout = 0.0f;
  /// The same k and v come in many calls, so that laying them out is worth the memory.
  bool lasting_keys = false;
};

/// A function of values, as `Backend::record` takes and gives it.
using Computation = std::function<Value(std::span<const Value> inputs)>;

struct BackendOptions {
  /// Arithmetic of matrix products: f32, bf16 (inputs rounded to bf16, sums in f32), or i8: weights of `linear` are
  /// rounded to 255 steps per output, its inputs to 256 steps per row. With bf16 and i8, attention multiplies in bf16
  /// where the processor has instructions for it. Everything else is f32.
  DType compute = DType::f32;
  /// CPU threads; 0 takes what the machine offers.
  int threads = 0;
  /// Results are bitwise independent of batch size and thread count.
  bool deterministic = false;
};

/// Parts of the road from a picture's bytes to words, for those who measure it.
enum class CaptionStage {
  decode,
  preprocess,
  encoder,
  condition,  ///< what a decoder needs to know of pictures
  step,   ///< calls of the network that denoises, or of the one that says the next word, and what moves between them
  words,  ///< from latents to captions
};
std::string_view name_of(CaptionStage stage);

/// The vocabulary in which every model is written. Values are row-major; images are channels-last [B, H, W, C], so that
/// the tokens of a feature map are a reshape. Shapes are checked: a mismatch is an `Error(internal)` that begins with
/// the operation's name. Ranks are free where "…" stands.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;
  const BackendOptions& options() const { return options_; }
  /// Of the library underneath, "2.7.3"; empty where there is none.
  virtual std::string library_version() const { return {}; }
  /// What follows belongs to `stage`. Only a backend that measures (`MeteredBackend`) wants to know.
  virtual void enter(CaptionStage /*stage*/) {}

  // Movement.
  /// f32, bf16 and f16 become f32; integers become i64.
  virtual Value upload(const HostTensor& tensor) = 0;
  /// f32 or i64.
  virtual HostTensor download(const Value& value) = 0;

  // Weights, bound once.
  /// A plain f32 tensor: a LayerNorm's gamma, an embedding table, a class token.
  virtual Value bind(const Parameter& parameter) = 0;
  /// One linear layer from one or more [out_i, in] matrices stacked along `out` (a fused Q, K and V), with as many
  /// biases [out_i], or none.
  virtual Packed bind_linear(std::span<const Parameter> weights, std::span<const Parameter> biases) = 0;
  /// A convolution [out, in / groups, kh, kw] with an optional bias [out].
  virtual Packed bind_conv2d(const Parameter& weight, const std::optional<Parameter>& bias, std::int64_t groups) = 0;

  // Layers.
  /// y = activation(x Wᵀ + b) + residual. x […, in] → [residual] […, out].
  virtual Value linear(const Value& x, const Packed& weights, Activation activation = Activation::none,
                       const Value& residual = {}) = 0;
  /// y = gamma · (z − mean(z)) / sqrt(var(z) + eps) + beta over the last axis, z = x + residual; biased variance.
  virtual Value layer_norm(const Value& x, const Value& gamma, const Value& beta, float eps,
                           const Value& residual = {}) = 0;
  /// softmax(q kᵀ / sqrt(d) + mask) v per head, heads laid out head-major in the last axis, d = D / heads.
  /// q [B, Lq, D], k [Bk, Lk, D], v [Bk, Lk, Dv] → [B, Lq, Dv]. B must be a multiple of Bk: query row b attends to row
  /// b / (B / Bk), so candidates of an image share its keys and values.
  virtual Value attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options) = 0;
  /// Rows of table [V, D] at ids i64 […] → […, D]. An id outside [0, V) is an Error(invalid_input).
  virtual Value embedding(const Value& table, const Value& ids) = 0;
  /// x [B, H, W, C] → [B, H', W', out] with cross-correlation and zero padding.
  virtual Value conv2d(const Value& x, const Packed& weights, const Conv2dOptions& options) = 0;
  /// Scales by 1 / (1 − p) and zeroes with probability p while training; the identity otherwise.
  virtual Value dropout(const Value& x, float p) = 0;

  /// The same computation, for being called many times: a backend may keep the work that inputs of certain shapes lead
  /// to, and from then on repeat that work without asking `computation` again. So `computation` depends on its inputs
  /// and on values that stay as they are, and neither uploads, downloads nor looks up ids. The result is the caller's.
  virtual Computation record(Computation computation) { return computation; }

  // Elementwise, with NumPy broadcasting.
  virtual Value add(const Value& a, const Value& b) = 0;
  virtual Value mul(const Value& a, const Value& b) = 0;
  /// alpha · a + beta · b: the sampler's axpy.
  virtual Value scale_add(float alpha, const Value& a, float beta, const Value& b) = 0;
  /// mask ≠ 0 ? a : b; mask f32.
  virtual Value select(const Value& mask, const Value& a, const Value& b) = 0;
  virtual Value activation(const Value& x, Activation activation) = 0;

  // Shape.
  virtual Value reshape(const Value& x, const Shape& shape) = 0;
  virtual Value permute(const Value& x, std::span<const int> axes) = 0;
  virtual Value concat(std::span<const Value> values, int axis) = 0;
  /// Elements [begin, end) along axis.
  virtual Value slice(const Value& x, int axis, std::int64_t begin, std::int64_t end) = 0;
  /// Entries of the outermost axis at `indices` i64 [n]; entries may repeat.
  virtual Value gather(const Value& x, const Value& indices) = 0;

  // Reductions and normalisation over the last axis.
  virtual Value softmax(const Value& x) = 0;
  virtual Value max(const Value& x) = 0;
  /// i64; the lowest index wins a tie.
  virtual Value argmax(const Value& x) = 0;
  /// The k largest entries, largest first, lowest index first on ties: values f32 […, k] and indices i64 […, k].
  virtual std::pair<Value, Value> top_k(const Value& x, std::int64_t k) = 0;
  virtual Value l2_normalize(const Value& x) = 0;
  /// Mean over one axis, which disappears.
  virtual Value mean(const Value& x, int axis) = 0;

  // Losses, as scalars (shape []).
  /// Mean over all elements of (a − b)².
  virtual Value mean_squared_error(const Value& a, const Value& b) = 0;
  /// Mean over rows of ‖a − b‖₂ along the last axis; its gradient at 0 is 0.
  virtual Value mean_l2_distance(const Value& a, const Value& b) = 0;
  /// Mean over rows of (1 − s) · −log softmax(logits)[target] + s · mean over classes of −log softmax(logits), where s
  /// is the label smoothing; logits […, V], targets i64 […]. Rows with target −1 do not count.
  virtual Value cross_entropy(const Value& logits, const Value& targets, float smoothing = 0.0f) = 0;

 protected:
  explicit Backend(BackendOptions options) : options_(options) {}
  BackendOptions options_;
};

/// The lean CPU backend, on oneDNN.
std::unique_ptr<Backend> make_onednn_backend(const BackendOptions& options);

}  // namespace capdiff
