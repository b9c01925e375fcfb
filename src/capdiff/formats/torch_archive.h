#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/formats/torch_tensors.h"
#include "capdiff/formats/zip_archive.h"
#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// A checkpoint of `torch.save`, as zip file or in the legacy format of five pickles before the raw data, or a
/// TorchScript archive of `torch.jit.save`, whose modules are read as dictionaries and whose code is not. Only tensors
/// are of interest; they are named by their path in the saved object, joined by ".": "model.fc.weight",
/// "optimizer.state.0.step", and "" for a bare tensor. Nothing in the file is trusted or executed: pickles are read as
/// data (see `Pickle`), storages have exactly the bytes that their type and length need, tensors lie within them, and
/// checksums are verified. Errors are `Error(invalid_model)`, or `Error(unsupported)` for what torch may write and
/// capdiff does not read, and name the file and what is wrong with it.
class TorchArchive {
 public:
  /// Maps a file. Only its pickles are read; storages are read from disk when a tensor of theirs is asked for.
  static TorchArchive open(const std::filesystem::path& path);
  /// Reads bytes in memory that `owner` keeps alive; `name` stands for the file in errors.
  static TorchArchive parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, std::string name);
  /// Whether the bytes begin as such files do.
  static bool recognises(std::span<const std::byte> bytes);

  /// The path, as it appears in errors.
  const std::string& name() const { return name_; }
  /// All tensors, sorted by name.
  const std::map<std::string, TorchTensor, std::less<>>& entries() const { return entries_; }
  bool contains(std::string_view name) const { return entries_.contains(name); }

  /// The tensor `name`, row-major: a view of the mapping that keeps it alive where the file has it so and aligned, a
  /// copy otherwise. The storage's checksum is verified when it is first read. Throws `not_found`, with the nearest
  /// name, where there is none.
  HostTensor tensor(std::string_view name) const;

 private:
  struct Storage {
    ZipArchive::Entry data;
    std::string entry;  ///< its name in the zip file; empty in the legacy format, which has no checksums
    std::atomic<bool> verified = false;
  };

  void read_zip(std::span<const std::byte> bytes);
  void read_legacy(std::span<const std::byte> bytes);
  void require_modest(std::size_t file_bytes) const;

  std::string name_;
  std::shared_ptr<const void> owner_;
  std::map<std::string, TorchTensor, std::less<>> entries_;
  std::map<std::string, std::shared_ptr<Storage>, std::less<>> storages_;  // by key
};

}  // namespace capdiff
