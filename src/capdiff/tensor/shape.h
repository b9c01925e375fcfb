#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace capdiff {

/// Sizes of a row-major tensor, outermost first. A scalar has rank 0 and one element.
/// Construction checks that no size is negative and that the element count fits in 63 bits.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(std::vector<std::int64_t>(sizes)) {}
  explicit Shape(std::vector<std::int64_t> sizes);

  std::size_t rank() const { return sizes_.size(); }
  /// Size along `axis`; negative axes count from the end.
  std::int64_t operator[](int axis) const;
  std::int64_t numel() const { return numel_; }
  /// Number of rows when everything but the last axis is flattened.
  std::int64_t rows() const;
  /// Size of the last axis; 1 for a scalar.
  std::int64_t cols() const { return sizes_.empty() ? 1 : sizes_.back(); }
  const std::vector<std::int64_t>& sizes() const { return sizes_; }

  /// The same shape with the last axis replaced.
  Shape with_cols(std::int64_t cols) const;

  bool operator==(const Shape& other) const { return sizes_ == other.sizes_; }

 private:
  std::vector<std::int64_t> sizes_;
  std::int64_t numel_ = 1;
};

/// "[2, 24, 768]"
std::string to_string(const Shape& shape);

}  // namespace capdiff
