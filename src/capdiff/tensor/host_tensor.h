#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "capdiff/tensor/dtype.h"
#include "capdiff/tensor/shape.h"

namespace capdiff {

/// Memory: a contiguous, row-major, typed array. Copies share the same bytes. A tensor either owns 64-byte aligned
/// memory, or views bytes kept alive by `owner` (a mapped file, another tensor).
class HostTensor {
 public:
  /// An empty tensor: shape [0], f32.
  HostTensor() : shape_{0} {}
  /// Owns zero-initialised memory. Throws `Error(invalid_input)` if the size in bytes overflows.
  HostTensor(DType dtype, Shape shape);

  /// Views `bytes`, which must be exactly as long as dtype and shape require and aligned for the element type.
  static HostTensor view(DType dtype, Shape shape, std::span<const std::byte> bytes, std::shared_ptr<const void> owner);
  /// Copies values; their number must equal `shape.numel()`.
  static HostTensor of(Shape shape, std::span<const float> values);
  static HostTensor of(Shape shape, std::span<const std::int64_t> values);
  static HostTensor of(Shape shape, std::initializer_list<float> values);
  static HostTensor scalar(float value);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t numel() const { return shape_.numel(); }
  std::size_t byte_size() const { return static_cast<std::size_t>(shape_.numel()) * size_of(dtype_); }
  std::span<const std::byte> bytes() const { return {data_, byte_size()}; }
  /// Only for tensors that own their memory.
  std::span<std::byte> mutable_bytes();

  /// Typed access. The template argument must match `dtype()`: float, double, std::uint16_t (f16 and bf16),
  /// std::int64_t, std::int32_t, std::int16_t, std::int8_t, std::uint8_t (u8 and boolean).
  template <class T>
  std::span<const T> values() const {
    check_type(sizeof(T));
    return {reinterpret_cast<const T*>(data_), static_cast<std::size_t>(numel())};
  }
  template <class T>
  std::span<T> mutable_values() {
    check_type(sizeof(T));
    return {reinterpret_cast<T*>(mutable_bytes().data()), static_cast<std::size_t>(numel())};
  }

  /// The same bytes under another shape with equally many elements.
  HostTensor reshaped(Shape shape) const;
  /// Rows [begin, end) of the outermost axis, sharing memory.
  HostTensor slice(std::int64_t begin, std::int64_t end) const;
  /// A copy of a matrix [n, m] as [m, n].
  HostTensor transposed() const;
  /// A converted copy; returns `*this` where nothing changes. Any floating type converts to any other, integers to
  /// floats.
  HostTensor to(DType dtype) const;

 private:
  void check_type(std::size_t element_size) const;

  DType dtype_ = DType::f32;
  Shape shape_;
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  bool owned_ = false;
};

}  // namespace capdiff
