#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// What is known of a tensor before it is read.
struct TensorType {
  DType dtype = DType::f32;
  Shape shape;
};

/// A safetensors file: eight bytes of header length (little-endian), a JSON header {name: {dtype, shape,
/// data_offsets}}, and the tensors' bytes. Nothing in it is trusted: the header's size, depth and numbers are limited,
/// names are unique, each tensor has exactly the bytes its dtype and shape need, and the tensors cover the data without
/// holes or overlap, as the format demands. Errors are `Error(invalid_model)` and name the file and the tensor.
class SafetensorsFile {
 public:
  /// What the header says of one tensor. `begin` and `end` count bytes from the start of the data.
  struct Entry : TensorType {
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// Maps a file. Only the header is read; tensors are read from disk when they are first touched.
  static SafetensorsFile open(const std::filesystem::path& path);
  /// Reads bytes in memory that `owner` keeps alive; `name` stands for the file in errors.
  static SafetensorsFile parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, std::string name);

  /// The path, as it appears in errors.
  const std::string& name() const { return name_; }
  /// The free-form strings under "__metadata__".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// All tensors, sorted by name.
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  std::vector<std::string> names() const;
  bool contains(std::string_view name) const { return entries_.contains(name); }

  /// The tensor `name`: a view of the mapping that keeps it alive, or an aligned copy where the file stores it
  /// misaligned for its type. Throws `not_found`, with the nearest name, where there is none.
  HostTensor tensor(std::string_view name) const;
  /// As above; throws `invalid_model` with both shapes where the shape is not the one expected.
  HostTensor tensor(std::string_view name, const Shape& expected) const;

 private:
  std::string name_;
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> data_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Writes tensors so that they need not be copied when they are mapped again: the data begin at a multiple of 64 bytes
/// (the header is padded with spaces) and wide types come before narrow ones, by name within a type; each tensor is
/// aligned for its type. The same tensors give the same bytes. The file is replaced atomically.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, HostTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// As above for more tensors than memory holds: `load` is called for each in turn, must return what `types` says of it,
/// and its tensor is gone before the next is asked for.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, TensorType>& types,
                       const std::function<HostTensor(const std::string& name)>& load,
                       const std::map<std::string, std::string>& metadata = {});

/// Throws `Error(invalid_model)` that names tensor, file and position if a floating-point tensor holds NaN or infinity.
/// safetensors has no checksum, and such weights would turn every caption into nonsense.
void require_finite(const HostTensor& tensor, std::string_view name, std::string_view file);

}  // namespace capdiff
