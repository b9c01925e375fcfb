#include "capdiff/tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "capdiff/base/error.h"

namespace capdiff {

Shape::Shape(std::vector<std::int64_t> sizes) : sizes_(std::move(sizes)) {
  for (const std::int64_t size : sizes_) {
    if (size < 0) fail(ErrorCode::invalid_input, "a tensor cannot have the negative size {}", size);
    if (__builtin_mul_overflow(numel_, size, &numel_))
      fail(ErrorCode::invalid_input, "the number of elements of a tensor does not fit in 63 bits");
  }
}

std::int64_t Shape::operator[](int axis) const {
  const int rank = static_cast<int>(sizes_.size());
  const int index = axis < 0 ? axis + rank : axis;
  if (index < 0 || index >= rank) fail(ErrorCode::internal, "axis {} of a tensor of rank {}", axis, rank);
  return sizes_[static_cast<std::size_t>(index)];
}

std::int64_t Shape::rows() const {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < sizes_.size(); ++i) rows *= sizes_[i];
  return rows;
}

Shape Shape::with_cols(std::int64_t cols) const {
  std::vector<std::int64_t> sizes = sizes_;
  if (sizes.empty())
    sizes.push_back(cols);
  else
    sizes.back() = cols;
  return Shape(std::move(sizes));
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape.sizes(), ", "));
}

}  // namespace capdiff
