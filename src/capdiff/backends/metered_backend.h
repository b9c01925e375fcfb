#pragma once

#include <chrono>
#include <compare>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// The size of a linear layer's product: y [rows, out] = x [rows, in] Wᵀ.
struct ProductShape {
  std::int64_t rows = 0, in = 0, out = 0;

  double flop() const { return 2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out); }
  auto operator<=>(const ProductShape&) const = default;
};

/// What operations took, and what they had to do.
struct Tally {
  std::int64_t calls = 0;
  double seconds = 0.0;
  /// Floating-point operations of linear layers, convolutions and attention, two a multiply-add; nothing else counts.
  double flop = 0.0;
  /// Operands read and results written, each once; weights in the type of the arithmetic in force.
  double bytes = 0.0;
};

/// A stage: `calls` is how often it was entered, `seconds` what passed on the clock until the next one was, with what
/// happens outside the backend.
struct StageTally : Tally {
  std::map<ProductShape, std::int64_t> products;  ///< calls of linear layers by their size
};

struct Measurements {
  std::map<CaptionStage, StageTally> stages;
  std::map<std::string, Tally> operations;  ///< by kind: "linear", "attention", …

  double seconds() const;  ///< of all stages
  double flop() const;
};

/// Hands every operation on to another backend, and keeps books: calls, seconds, floating-point operations and bytes of
/// each kind of operation and of each stage. Seconds are those of the call, so they are true of backends that have
/// computed when they return, as those on the CPU. Weights are bound off the books. One thread at a time.
class MeteredBackend final : public Backend {
 public:
  /// `backend` must outlive this one.
  explicit MeteredBackend(Backend& backend) : Backend(backend.options()), inner_(backend) {}

  /// What was booked since the last call. Ends the stage in force; what follows is in none until one is entered.
  Measurements take();

  std::string_view name() const override { return inner_.name(); }
  std::string library_version() const override { return inner_.library_version(); }
  void enter(CaptionStage stage) override;

  Value upload(const HostTensor& tensor) override;
  HostTensor download(const Value& value) override;

  Value bind(const Parameter& parameter) override { return inner_.bind(parameter); }
  Packed bind_linear(std::span<const Parameter> weights, std::span<const Parameter> biases) override {
    return inner_.bind_linear(weights, biases);
  }
  Packed bind_conv2d(const Parameter& weight, const std::optional<Parameter>& bias, std::int64_t groups) override {
    return inner_.bind_conv2d(weight, bias, groups);
  }

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
  using Clock = std::chrono::steady_clock;

  /// Calls `operation` and books it; `work` gives flop and bytes of its result.
  template <class Operation, class Work>
  auto booked(const char* kind, Operation&& operation, Work&& work);
  /// An operation that reads `operands` and writes its result, and has no products.
  template <class Operation>
  Value moved(const char* kind, std::initializer_list<Value> operands, Operation&& operation);
  /// Bytes of weights [out, …] and their bias.
  double weight_bytes(const Packed& weights) const;
  void end_stage();

  Backend& inner_;
  Measurements booked_;
  std::optional<CaptionStage> stage_;
  Clock::time_point entered_;
};

}  // namespace capdiff
