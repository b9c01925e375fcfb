#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "capdiff/base/files.h"
#include "capdiff/formats/safetensors.h"
#include "capdiff/formats/torch_archive.h"

namespace capdiff {

/// A file of named tensors, safetensors or torch checkpoint, told apart by its contents.
class WeightsFile {
 public:
  /// Maps a file. Throws as `SafetensorsFile::open` and `TorchArchive::open`, and `Error(invalid_model)` that names the
  /// file where it is neither.
  static WeightsFile open(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  /// Type and shape of all tensors, sorted by name.
  const std::map<std::string, TensorType, std::less<>>& entries() const { return entries_; }
  bool contains(std::string_view name) const { return entries_.contains(name); }

  /// The tensor `name`, row-major, as the file's own class gives it.
  HostTensor tensor(std::string_view name) const;

  /// Lets go of the memory that tensors read so far take. They stay valid, and are read from disk again when touched.
  void forget_pages() const { mapping_->forget_pages(); }

 private:
  WeightsFile(std::shared_ptr<const MappedFile> mapping, std::variant<SafetensorsFile, TorchArchive> file);

  std::shared_ptr<const MappedFile> mapping_;
  std::variant<SafetensorsFile, TorchArchive> file_;
  std::string name_;
  std::map<std::string, TensorType, std::less<>> entries_;
};

}  // namespace capdiff
