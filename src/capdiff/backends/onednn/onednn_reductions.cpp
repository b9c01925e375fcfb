#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/onednn_backend.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

/// The shape without its last axis, which must exist and not be empty.
Shape without_last(std::string_view operation, const Shape& shape) {
  if (shape.rank() == 0 || shape.cols() == 0)
    fail(ErrorCode::internal, "[{}] x {} has no entries along its last axis", operation, to_string(shape));
  return Shape(std::vector<std::int64_t>(shape.sizes().begin(), shape.sizes().end() - 1));
}

void expect_same_shape(std::string_view operation, const Value& a, const Value& b) {
  if (a.shape() != b.shape() || a.shape().numel() == 0)
    fail(ErrorCode::internal, "[{}] a has shape {} and b {}, expected the same and elements", operation,
         to_string(a.shape()), to_string(b.shape()));
}

}  // namespace

Value OneDnnBackend::softmax(const Value& x) {
  const float* const input = floats("softmax", x);
  without_last("softmax", x.shape());
  auto result = output<float>(x.shape());
  const std::int64_t cols = x.shape().cols();
  parallel_ranges(x.shape().rows(), threads_for(4.0 * static_cast<double>(x.shape().numel())),
                  [&](std::int64_t begin, std::int64_t end) {
                    softmax_rows(input + begin * cols, result.data + begin * cols, end - begin, cols);
                  });
  return result.value;
}

Value OneDnnBackend::max(const Value& x) {
  const float* const input = floats("max", x);
  auto result = output<float>(without_last("max", x.shape()));
  const std::int64_t cols = x.shape().cols();
  parallel_ranges(x.shape().rows(), threads_for(static_cast<double>(x.shape().numel())),
                  [&](std::int64_t begin, std::int64_t end) {
                    max_rows(input + begin * cols, result.data + begin, end - begin, cols);
                  });
  return result.value;
}

Value OneDnnBackend::argmax(const Value& x) {
  const float* const input = floats("argmax", x);
  auto result = output<std::int64_t>(without_last("argmax", x.shape()));
  const std::int64_t cols = x.shape().cols();
  parallel_ranges(
      x.shape().rows(), threads_for(static_cast<double>(x.shape().numel())), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const float* const first = input + row * cols;
          float highest = 0.0f;
          max_rows(first, &highest, 1, cols);
          // NaN counts as the largest, so that a broken model does not look like a sure one.
          const float* const found = std::isnan(highest)
                                         ? std::find_if(first, first + cols, [](float v) { return std::isnan(v); })
                                         : std::find(first, first + cols, highest);
          result.data[row] = found - first;
        }
      });
  return result.value;
}

std::pair<Value, Value> OneDnnBackend::top_k(const Value& x, std::int64_t k) {
  const float* const input = floats("top_k", x);
  without_last("top_k", x.shape());
  const std::int64_t cols = x.shape().cols();
  if (k < 1 || k > cols) fail(ErrorCode::internal, "[top_k] the {} largest of {} entries", k, cols);
  const Shape shape = x.shape().with_cols(k);
  auto values = output<float>(shape);
  auto indices = output<std::int64_t>(shape);
  parallel_ranges(x.shape().rows(), threads_for(2.0 * static_cast<double>(x.shape().numel())),
                  [&](std::int64_t begin, std::int64_t end) {
                    std::vector<std::int64_t> order(static_cast<std::size_t>(cols));
                    for (std::int64_t row = begin; row < end; ++row) {
                      const float* const entries = input + row * cols;
                      // A strict order of all floats: NaN first.
                      const auto before = [entries](std::int64_t i, std::int64_t j) {
                        const float a = entries[i], b = entries[j];
                        const bool a_nan = std::isnan(a), b_nan = std::isnan(b);
                        if (a_nan != b_nan) return a_nan;
                        return a > b || ((a == b || a_nan) && i < j);
                      };
                      std::iota(order.begin(), order.end(), std::int64_t{0});
                      std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
                      for (std::int64_t i = 0; i < k; ++i) {
                        const std::int64_t index = order[static_cast<std::size_t>(i)];
                        indices.data[row * k + i] = index;
                        values.data[row * k + i] = entries[index];
                      }
                    }
                  });
  return {values.value, indices.value};
}

Value OneDnnBackend::l2_normalize(const Value& x) {
  const float* const input = floats("l2_normalize", x);
  without_last("l2_normalize", x.shape());
  auto result = output<float>(x.shape());
  const std::int64_t cols = x.shape().cols();
  parallel_ranges(x.shape().rows(), threads_for(static_cast<double>(x.shape().numel())),
                  [&](std::int64_t begin, std::int64_t end) {
                    l2_normalize_rows(input + begin * cols, result.data + begin * cols, end - begin, cols);
                  });
  return result.value;
}

Value OneDnnBackend::mean(const Value& x, int axis) {
  const float* const input = floats("mean", x);
  const auto at = static_cast<std::size_t>(checked_axis("mean", x, axis));
  std::vector<std::int64_t> sizes = x.shape().sizes();
  const std::int64_t size = sizes[at];
  if (size == 0) fail(ErrorCode::internal, "[mean] axis {} of x {} is empty", axis, to_string(x.shape()));
  std::int64_t inner = 1;
  for (std::size_t i = at + 1; i < sizes.size(); ++i) inner *= sizes[i];
  sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(at));
  auto result = output<float>(Shape(std::move(sizes)));
  const std::int64_t outer = inner == 0 ? 0 : result.value.shape().numel() / inner;
  parallel_ranges(outer, threads_for(static_cast<double>(x.shape().numel())),
                  [&](std::int64_t begin, std::int64_t end) {
                    std::vector<double> buffer(static_cast<std::size_t>(inner));
                    double* const sums = buffer.data();
                    for (std::int64_t i = begin; i < end; ++i) {
                      std::fill(buffer.begin(), buffer.end(), 0.0);
                      const float* row = input + i * size * inner;
                      for (std::int64_t j = 0; j < size; ++j, row += inner)
#pragma omp simd
                        for (std::int64_t c = 0; c < inner; ++c) sums[c] += static_cast<double>(row[c]);
                      for (std::int64_t c = 0; c < inner; ++c)
                        result.data[i * inner + c] = static_cast<float>(sums[c] / static_cast<double>(size));
                    }
                  });
  return result.value;
}

Value OneDnnBackend::mean_squared_error(const Value& a, const Value& b) {
  const float *x = floats("mean_squared_error", a), *y = floats("mean_squared_error", b);
  expect_same_shape("mean_squared_error", a, b);
  const std::int64_t n = a.shape().numel();
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += difference * difference;
  }
  auto result = output<float>(Shape{});
  *result.data = static_cast<float>(sum / static_cast<double>(n));
  return result.value;
}

Value OneDnnBackend::mean_l2_distance(const Value& a, const Value& b) {
  const float *x = floats("mean_l2_distance", a), *y = floats("mean_l2_distance", b);
  expect_same_shape("mean_l2_distance", a, b);
  const std::int64_t rows = a.shape().rows(), cols = a.shape().cols();
  double sum = 0.0;
  for (std::int64_t r = 0; r < rows; ++r) {
    double squares = 0.0;
    for (std::int64_t i = r * cols; i < (r + 1) * cols; ++i) {
      const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      squares += difference * difference;
    }
    sum += std::sqrt(squares);
  }
  auto result = output<float>(Shape{});
  *result.data = static_cast<float>(sum / static_cast<double>(rows));
  return result.value;
}

Value OneDnnBackend::cross_entropy(const Value& logits, const Value& targets, float smoothing) {
  const float* const input = floats("cross_entropy", logits);
  const std::int64_t* const wanted = integers("cross_entropy", targets);
  if (without_last("cross_entropy", logits.shape()) != targets.shape())
    fail(ErrorCode::internal, "[cross_entropy] the logits have shape {}, the targets {}", to_string(logits.shape()),
         to_string(targets.shape()));
  const std::int64_t cols = logits.shape().cols();
  const auto s = static_cast<double>(smoothing);
  double sum = 0.0;
  std::int64_t counted = 0;
  for (std::int64_t row = 0; row < targets.shape().numel(); ++row) {
    const std::int64_t target = wanted[row];
    if (target == -1) continue;
    if (target < 0 || target >= cols)
      fail(ErrorCode::invalid_input, "[cross_entropy] target {} is outside the {} classes", target, cols);
    const float* const entries = input + row * cols;
    const double highest = static_cast<double>(*std::max_element(entries, entries + cols));
    double total = 0.0, all = 0.0;
    for (std::int64_t i = 0; i < cols; ++i) {
      total += std::exp(static_cast<double>(entries[i]) - highest);
      all += static_cast<double>(entries[i]);
    }
    sum += std::log(total) + highest - (1.0 - s) * static_cast<double>(entries[target]) -
           s * all / static_cast<double>(cols);
    ++counted;
  }
  auto result = output<float>(Shape{});
  *result.data = static_cast<float>(sum / static_cast<double>(counted));
  return result.value;
}

}  // namespace capdiff::onednn
