#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "capdiff/backends/onednn/onednn_backend.h"
#include "capdiff/backends/onednn/parallel.h"
#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

/// Sizes of the axes before and after `axis`, multiplied together.
struct Around {
  std::int64_t outer = 1;
  std::int64_t inner = 1;
};

Around around(const Shape& shape, int axis) {
  const auto& sizes = shape.sizes();
  Around result;
  for (int i = 0; i < axis; ++i) result.outer *= sizes[static_cast<std::size_t>(i)];
  for (auto i = static_cast<std::size_t>(axis) + 1; i < sizes.size(); ++i) result.inner *= sizes[i];
  return result;
}

Shape with_size(const Shape& shape, int axis, std::int64_t size) {
  std::vector<std::int64_t> sizes = shape.sizes();
  sizes[static_cast<std::size_t>(axis)] = size;
  return Shape(std::move(sizes));
}

/// Calls body with a float or std::int64_t, the element type of `value`.
template <class Body>
Value for_element_type(const Value& value, Body&& body) {
  return value.dtype() == DType::i64 ? body(std::int64_t{}) : body(float{});
}

}  // namespace

Value OneDnnBackend::reshape(const Value& x, const Shape& shape) {
  expect_value("reshape", x);
  if (shape.numel() != x.shape().numel())
    fail(ErrorCode::internal, "[reshape] x {} cannot become {}", to_string(x.shape()), to_string(shape));
  return Value(x.storage(), shape, x.dtype());
}

Value OneDnnBackend::permute(const Value& x, std::span<const int> axes) {
  expect_value("permute", x);
  const std::size_t rank = x.shape().rank();
  std::vector<bool> taken(rank, false);
  bool valid = axes.size() == rank;
  for (const int axis : axes) {
    valid = valid && axis >= 0 && axis < static_cast<int>(rank) && !taken[static_cast<std::size_t>(axis)];
    if (valid) taken[static_cast<std::size_t>(axis)] = true;
  }
  if (!valid) fail(ErrorCode::internal, "[permute] the axes are no permutation of those of x {}", to_string(x.shape()));
  if (rank == 0) return x;

  std::vector<std::int64_t> strides(rank, 1), sizes(rank), steps(rank);
  for (std::size_t i = rank - 1; i > 0; --i) strides[i - 1] = strides[i] * x.shape().sizes()[i];
  for (std::size_t i = 0; i < rank; ++i) {
    sizes[i] = x.shape().sizes()[static_cast<std::size_t>(axes[i])];
    steps[i] = strides[static_cast<std::size_t>(axes[i])];
  }
  const Shape shape(sizes);
  return for_element_type(x, [&]<class T>(T) {
    const T* const from = data_of<T>(x);
    auto result = output<T>(shape);
    if (shape.numel() == 0) return result.value;
    const std::int64_t cols = sizes.back(), step = steps.back();
    parallel_ranges(shape.rows(), threads_for(static_cast<double>(shape.numel())),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t row = begin; row < end; ++row) {
                        const T* source = from;
                        std::int64_t rest = row;
                        for (std::size_t i = rank - 1; i-- > 0; rest /= sizes[i]) source += rest % sizes[i] * steps[i];
                        T* const target = result.data + row * cols;
                        if (step == 1)
                          std::copy_n(source, cols, target);
                        else
                          for (std::int64_t j = 0; j < cols; ++j) target[j] = source[j * step];
                      }
                    });
    return result.value;
  });
}

Value OneDnnBackend::concat(std::span<const Value> values, int axis) {
  if (values.empty()) fail(ErrorCode::internal, "[concat] nothing to concatenate");
  const Value& first = values[0];
  const int at = checked_axis("concat", first, axis);
  std::int64_t total = 0;
  for (const Value& value : values) {
    expect_value("concat", value);
    if (value.dtype() != first.dtype() || value.shape().rank() != first.shape().rank() ||
        with_size(value.shape(), at, 1) != with_size(first.shape(), at, 1))
      fail(ErrorCode::internal, "[concat] {} {} and {} {} differ in more than axis {}", name_of(first.dtype()),
           to_string(first.shape()), name_of(value.dtype()), to_string(value.shape()), axis);
    total += value.shape()[at];
  }
  const Shape shape = with_size(first.shape(), at, total);
  const auto sizes = around(shape, at);
  const std::int64_t outer = sizes.outer, inner = sizes.inner;
  return for_element_type(first, [&]<class T>(T) {
    auto result = output<T>(shape);
    T* column = result.data;
    for (const Value& value : values) {
      const std::int64_t length = value.shape()[at] * inner;
      const std::size_t bytes = static_cast<std::size_t>(length) * sizeof(T);
      for (std::int64_t row = 0; row < outer; ++row)
        copy_elements(buffer_of(value), static_cast<std::size_t>(row) * bytes, bytes,
                      reinterpret_cast<std::byte*>(column + row * total * inner));
      column += length;
    }
    return result.value;
  });
}

Value OneDnnBackend::slice(const Value& x, int axis, std::int64_t begin, std::int64_t end) {
  const int at = checked_axis("slice", x, axis);
  const std::int64_t size = x.shape()[at];
  if (begin < 0 || end < begin || end > size)
    fail(ErrorCode::internal, "[slice] [{}, {}) of axis {} of x {}", begin, end, axis, to_string(x.shape()));
  const Shape shape = with_size(x.shape(), at, end - begin);
  const auto sizes = around(x.shape(), at);
  const std::size_t element = size_of(x.dtype());
  const auto bytes = [&](std::int64_t length) { return static_cast<std::size_t>(length * sizes.inner) * element; };
  auto part = std::make_shared<Buffer>(x.storage(), contiguous(buffer_of(x)) + bytes(begin));
  if (sizes.outer != 1 && shape.numel() > 0) {
    part->rows = static_cast<std::size_t>(sizes.outer);
    part->row_bytes = bytes(end - begin);
    part->stride_bytes = bytes(size);
    part->pool = pool_;
  }
  return Value(std::move(part), shape, x.dtype());
}

Value OneDnnBackend::gather(const Value& x, const Value& indices) {
  expect_value("gather", x);
  const std::int64_t* const wanted = integers("gather", indices);
  if (x.shape().rank() == 0 || indices.shape().rank() != 1)
    fail(ErrorCode::internal, "[gather] x {} at indices {}, expected [n, …] and [m]", to_string(x.shape()),
         to_string(indices.shape()));
  const std::int64_t size = x.shape()[0], count = indices.shape()[0];
  const std::int64_t length = around(x.shape(), 0).inner;
  return for_element_type(x, [&]<class T>(T) {
    const T* const from = data_of<T>(x);
    auto result = output<T>(with_size(x.shape(), 0, count));
    for (std::int64_t i = 0; i < count; ++i) {
      if (wanted[i] < 0 || wanted[i] >= size)
        fail(ErrorCode::internal, "[gather] index {} is outside x {}", wanted[i], to_string(x.shape()));
      std::copy_n(from + wanted[i] * length, length, result.data + i * length);
    }
    return result.value;
  });
}

}  // namespace capdiff::onednn
