#include "capdiff/tensor/host_tensor.h"

#include <cstring>

#include "capdiff/base/aligned_memory.h"
#include "capdiff/base/error.h"

namespace capdiff {
namespace {

std::size_t checked_byte_size(DType dtype, const Shape& shape) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(shape.numel()), size_of(dtype), &bytes))
    fail(ErrorCode::invalid_input, "a tensor of shape {} does not fit in memory", to_string(shape));
  return bytes;
}

float load_float(const HostTensor& tensor, std::size_t i) {
  switch (tensor.dtype()) {
    case DType::f32: return tensor.values<float>()[i];
    case DType::f64: return static_cast<float>(tensor.values<double>()[i]);
    case DType::f16: return f16_to_f32(tensor.values<std::uint16_t>()[i]);
    case DType::bf16: return bf16_to_f32(tensor.values<std::uint16_t>()[i]);
    case DType::i64: return static_cast<float>(tensor.values<std::int64_t>()[i]);
    case DType::i32: return static_cast<float>(tensor.values<std::int32_t>()[i]);
    case DType::i16: return static_cast<float>(tensor.values<std::int16_t>()[i]);
    case DType::i8: return static_cast<float>(tensor.values<std::int8_t>()[i]);
    case DType::u8:
    case DType::boolean: return static_cast<float>(tensor.values<std::uint8_t>()[i]);
  }
  return 0.0f;
}

}  // namespace

HostTensor::HostTensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)), owned_(true) {
  const std::size_t bytes = checked_byte_size(dtype_, shape_);
  if (bytes == 0) return;
  AlignedMemory memory = allocate_zeroed(bytes);
  if (!memory) fail(ErrorCode::io, "out of memory: a tensor of shape {} needs {} bytes", to_string(shape_), bytes);
  data_ = memory.get();
  owner_ = std::shared_ptr<const std::byte>(std::move(memory));
}

HostTensor HostTensor::view(DType dtype, Shape shape, std::span<const std::byte> bytes,
                            std::shared_ptr<const void> owner) {
  if (checked_byte_size(dtype, shape) != bytes.size())
    fail(ErrorCode::invalid_input, "a tensor of shape {} and type {} cannot have {} bytes", to_string(shape),
         name_of(dtype), bytes.size());
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(dtype) != 0)
    fail(ErrorCode::internal, "misaligned tensor of shape {}", to_string(shape));
  HostTensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.owner_ = std::move(owner);
  tensor.data_ = bytes.data();
  return tensor;
}

HostTensor HostTensor::of(Shape shape, std::span<const float> values) {
  HostTensor tensor(DType::f32, std::move(shape));
  if (static_cast<std::int64_t>(values.size()) != tensor.numel())
    fail(ErrorCode::internal, "{} values for a tensor of shape {}", values.size(), to_string(tensor.shape()));
  std::copy(values.begin(), values.end(), tensor.mutable_values<float>().begin());
  return tensor;
}

HostTensor HostTensor::of(Shape shape, std::span<const std::int64_t> values) {
  HostTensor tensor(DType::i64, std::move(shape));
  if (static_cast<std::int64_t>(values.size()) != tensor.numel())
    fail(ErrorCode::internal, "{} values for a tensor of shape {}", values.size(), to_string(tensor.shape()));
  std::copy(values.begin(), values.end(), tensor.mutable_values<std::int64_t>().begin());
  return tensor;
}

HostTensor HostTensor::of(Shape shape, std::initializer_list<float> values) {
  return of(std::move(shape), std::span<const float>(values.begin(), values.size()));
}

HostTensor HostTensor::scalar(float value) {
  return of(Shape{}, {value});
}

std::span<std::byte> HostTensor::mutable_bytes() {
  if (!owned_) fail(ErrorCode::internal, "a view of a tensor of shape {} was written to", to_string(shape_));
  return {const_cast<std::byte*>(data_), byte_size()};
}

HostTensor HostTensor::reshaped(Shape shape) const {
  if (shape.numel() != numel())
    fail(ErrorCode::internal, "a tensor of shape {} cannot become {}", to_string(shape_), to_string(shape));
  HostTensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

HostTensor HostTensor::slice(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() == 0 || begin < 0 || end < begin || end > shape_[0])
    fail(ErrorCode::internal, "rows {} to {} of a tensor of shape {}", begin, end, to_string(shape_));
  std::vector<std::int64_t> sizes = shape_.sizes();
  const std::size_t row_bytes = sizes[0] == 0 ? 0 : byte_size() / static_cast<std::size_t>(sizes[0]);
  sizes[0] = end - begin;
  HostTensor tensor = *this;
  tensor.shape_ = Shape(std::move(sizes));
  tensor.data_ = data_ + static_cast<std::size_t>(begin) * row_bytes;
  return tensor;
}

HostTensor HostTensor::transposed() const {
  if (shape_.rank() != 2) fail(ErrorCode::internal, "a tensor of shape {} is no matrix", to_string(shape_));
  HostTensor result(dtype_, {shape_[1], shape_[0]});
  const std::size_t element = size_of(dtype_), rows = static_cast<std::size_t>(shape_[0]);
  const std::size_t columns = static_cast<std::size_t>(shape_[1]);
  std::byte* out = result.mutable_bytes().data();
  for (std::size_t column = 0; column < columns; ++column)
    for (std::size_t row = 0; row < rows; ++row, out += element)
      std::memcpy(out, data_ + (row * columns + column) * element, element);
  return result;
}

HostTensor HostTensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  HostTensor result(dtype, shape_);
  const auto n = static_cast<std::size_t>(numel());
  switch (dtype) {
    case DType::f32: {
      auto out = result.mutable_values<float>();
      for (std::size_t i = 0; i < n; ++i) out[i] = load_float(*this, i);
      return result;
    }
    case DType::bf16: {
      auto out = result.mutable_values<std::uint16_t>();
      for (std::size_t i = 0; i < n; ++i) out[i] = f32_to_bf16(load_float(*this, i));
      return result;
    }
    case DType::f16: {
      auto out = result.mutable_values<std::uint16_t>();
      for (std::size_t i = 0; i < n; ++i) out[i] = f32_to_f16(load_float(*this, i));
      return result;
    }
    default: fail(ErrorCode::internal, "conversion of {} to {} is not defined", name_of(dtype_), name_of(dtype));
  }
}

void HostTensor::check_type(std::size_t element_size) const {
  if (element_size != size_of(dtype_))
    fail(ErrorCode::internal, "a tensor of type {} was read with elements of {} bytes", name_of(dtype_), element_size);
}

}  // namespace capdiff
