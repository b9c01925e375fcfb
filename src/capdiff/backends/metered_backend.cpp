#include "capdiff/backends/metered_backend.h"

namespace capdiff {
namespace {

/// Of a Value, or 0 where there is none.
double bytes_of(const Value& value) {
  return value ? static_cast<double>(value.shape().numel()) * static_cast<double>(size_of(value.dtype())) : 0.0;
}

double bytes_of(std::initializer_list<Value> values) {
  double bytes = 0.0;
  for (const Value& value : values) bytes += bytes_of(value);
  return bytes;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Flop and bytes of one call.
struct OperationWork {
  double flop = 0.0, bytes = 0.0;
};

}  // namespace

std::string_view name_of(CaptionStage stage) {
  switch (stage) {
    case CaptionStage::decode: return "decode";
    case CaptionStage::preprocess: return "preprocess";
    case CaptionStage::encoder: return "encoder";
    case CaptionStage::condition: return "condition";
    case CaptionStage::step: return "step";
    case CaptionStage::words: return "words";
  }
  return "";
}

double Measurements::seconds() const {
  double sum = 0.0;
  for (const auto& [stage, tally] : stages) sum += tally.seconds;
  return sum;
}

double Measurements::flop() const {
  double sum = 0.0;
  for (const auto& [stage, tally] : stages) sum += tally.flop;
  return sum;
}

Measurements MeteredBackend::take() {
  end_stage();
  return std::exchange(booked_, {});
}

void MeteredBackend::enter(CaptionStage stage) {
  end_stage();
  stage_ = stage;
  entered_ = Clock::now();
  ++booked_.stages[stage].calls;
}

void MeteredBackend::end_stage() {
  if (stage_) booked_.stages[*stage_].seconds += seconds_since(entered_);
  stage_.reset();
}

double MeteredBackend::weight_bytes(const Packed& weights) const {
  return static_cast<double>(weights.shape().numel()) * static_cast<double>(size_of(options_.compute)) +
         static_cast<double>(weights.shape()[0]) * sizeof(float);
}

template <class Operation, class Work>
auto MeteredBackend::booked(const char* kind, Operation&& operation, Work&& work) {
  const auto start = Clock::now();
  auto result = operation();
  const double seconds = seconds_since(start);
  const OperationWork done = work(result);
  Tally& tally = booked_.operations[kind];
  ++tally.calls;
  tally.seconds += seconds;
  tally.flop += done.flop;
  tally.bytes += done.bytes;
  if (stage_) {
    booked_.stages[*stage_].flop += done.flop;
    booked_.stages[*stage_].bytes += done.bytes;
  }
  return result;
}

template <class Operation>
Value MeteredBackend::moved(const char* kind, std::initializer_list<Value> operands, Operation&& operation) {
  return booked(kind, std::forward<Operation>(operation), [&](const Value& y) {
    return OperationWork{0.0, bytes_of(operands) + bytes_of(y)};
  });
}

Value MeteredBackend::upload(const HostTensor& tensor) {
  return booked(
      "upload", [&] { return inner_.upload(tensor); },
      [&](const Value& y) {
        return OperationWork{0.0, static_cast<double>(tensor.byte_size()) + bytes_of(y)};
      });
}

HostTensor MeteredBackend::download(const Value& value) {
  return booked(
      "download", [&] { return inner_.download(value); },
      [&](const HostTensor&) {
        return OperationWork{0.0, 2.0 * bytes_of(value)};
      });
}

Value MeteredBackend::linear(const Value& x, const Packed& weights, Activation activation, const Value& residual) {
  return booked(
      "linear", [&] { return inner_.linear(x, weights, activation, residual); },
      [&](const Value& y) {
        const ProductShape product{x.shape().rows(), weights.shape()[1], weights.shape()[0]};
        if (stage_) ++booked_.stages[*stage_].products[product];
        return OperationWork{product.flop(), bytes_of({x, residual, y}) + weight_bytes(weights)};
      });
}

Value MeteredBackend::layer_norm(const Value& x, const Value& gamma, const Value& beta, float eps,
                                 const Value& residual) {
  return moved("layer_norm", {x, gamma, beta, residual},
               [&] { return inner_.layer_norm(x, gamma, beta, eps, residual); });
}

Value MeteredBackend::attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options) {
  return booked(
      "attention", [&] { return inner_.attention(q, k, v, options); },
      [&](const Value& y) {
        // A causal query sees half of the keys, but backends compute all of them.
        const double pairs = static_cast<double>(q.shape().rows()) * static_cast<double>(k.shape()[1]);
        return OperationWork{2.0 * pairs * static_cast<double>(q.shape().cols() + v.shape().cols()),
                             bytes_of({q, k, v, options.key_mask, y})};
      });
}

Value MeteredBackend::embedding(const Value& table, const Value& ids) {
  return booked(
      "embedding", [&] { return inner_.embedding(table, ids); },
      [&](const Value& y) {
        return OperationWork{0.0, bytes_of(ids) + 2.0 * bytes_of(y)};
      });
}

Value MeteredBackend::conv2d(const Value& x, const Packed& weights, const Conv2dOptions& options) {
  return booked(
      "conv2d", [&] { return inner_.conv2d(x, weights, options); },
      [&](const Value& y) {
        const double taps = static_cast<double>(weights.shape().numel() / weights.shape()[0]);
        return OperationWork{2.0 * static_cast<double>(y.shape().numel()) * taps,
                             bytes_of({x, y}) + weight_bytes(weights)};
      });
}

Value MeteredBackend::dropout(const Value& x, float p) {
  return inner_.dropout(x, p);
}

Value MeteredBackend::add(const Value& a, const Value& b) {
  return moved("add", {a, b}, [&] { return inner_.add(a, b); });
}

Value MeteredBackend::mul(const Value& a, const Value& b) {
  return moved("mul", {a, b}, [&] { return inner_.mul(a, b); });
}

Value MeteredBackend::scale_add(float alpha, const Value& a, float beta, const Value& b) {
  return moved("scale_add", {a, b}, [&] { return inner_.scale_add(alpha, a, beta, b); });
}

Value MeteredBackend::select(const Value& mask, const Value& a, const Value& b) {
  return moved("select", {mask, a, b}, [&] { return inner_.select(mask, a, b); });
}

Value MeteredBackend::activation(const Value& x, Activation activation) {
  return moved("activation", {x}, [&] { return inner_.activation(x, activation); });
}

Value MeteredBackend::reshape(const Value& x, const Shape& shape) {
  return inner_.reshape(x, shape);
}

Value MeteredBackend::permute(const Value& x, std::span<const int> axes) {
  return moved("permute", {x}, [&] { return inner_.permute(x, axes); });
}

Value MeteredBackend::concat(std::span<const Value> values, int axis) {
  return booked(
      "concat", [&] { return inner_.concat(values, axis); },
      [&](const Value& y) {
        return OperationWork{0.0, 2.0 * bytes_of(y)};
      });
}

Value MeteredBackend::slice(const Value& x, int axis, std::int64_t begin, std::int64_t end) {
  return booked(
      "slice", [&] { return inner_.slice(x, axis, begin, end); },
      [&](const Value& y) {
        return OperationWork{0.0, axis == 0 ? 0.0 : 2.0 * bytes_of(y)};
      });
}

Value MeteredBackend::gather(const Value& x, const Value& indices) {
  return booked(
      "gather", [&] { return inner_.gather(x, indices); },
      [&](const Value& y) {
        return OperationWork{0.0, bytes_of(indices) + 2.0 * bytes_of(y)};
      });
}

Value MeteredBackend::softmax(const Value& x) {
  return moved("softmax", {x}, [&] { return inner_.softmax(x); });
}

Value MeteredBackend::max(const Value& x) {
  return moved("max", {x}, [&] { return inner_.max(x); });
}

Value MeteredBackend::argmax(const Value& x) {
  return moved("argmax", {x}, [&] { return inner_.argmax(x); });
}

std::pair<Value, Value> MeteredBackend::top_k(const Value& x, std::int64_t k) {
  return booked(
      "top_k", [&] { return inner_.top_k(x, k); },
      [&](const std::pair<Value, Value>& y) {
        return OperationWork{0.0, bytes_of({x, y.first, y.second})};
      });
}

Value MeteredBackend::l2_normalize(const Value& x) {
  return moved("l2_normalize", {x}, [&] { return inner_.l2_normalize(x); });
}

Value MeteredBackend::mean(const Value& x, int axis) {
  return moved("mean", {x}, [&] { return inner_.mean(x, axis); });
}

Value MeteredBackend::mean_squared_error(const Value& a, const Value& b) {
  return moved("mean_squared_error", {a, b}, [&] { return inner_.mean_squared_error(a, b); });
}

Value MeteredBackend::mean_l2_distance(const Value& a, const Value& b) {
  return moved("mean_l2_distance", {a, b}, [&] { return inner_.mean_l2_distance(a, b); });
}

Value MeteredBackend::cross_entropy(const Value& logits, const Value& targets, float smoothing) {
  return moved("cross_entropy", {logits, targets}, [&] { return inner_.cross_entropy(logits, targets, smoothing); });
}

}  // namespace capdiff
