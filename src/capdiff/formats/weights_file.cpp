#include "capdiff/formats/weights_file.h"

#include <utility>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

/// After eight bytes of length comes JSON.
bool looks_like_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && bytes[8] == std::byte{'{'};
}

std::variant<SafetensorsFile, TorchArchive> parse(const std::shared_ptr<const MappedFile>& mapping) {
  const std::string name = mapping->path().string();
  if (looks_like_safetensors(mapping->bytes())) return SafetensorsFile::parse(mapping->bytes(), mapping, name);
  if (TorchArchive::recognises(mapping->bytes())) return TorchArchive::parse(mapping->bytes(), mapping, name);
  fail(ErrorCode::invalid_model, "{} is neither a safetensors file nor a torch checkpoint", name);
}

}  // namespace

WeightsFile WeightsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> mapping = MappedFile::open(path);
  auto file = parse(mapping);
  return {std::move(mapping), std::move(file)};
}

WeightsFile::WeightsFile(std::shared_ptr<const MappedFile> mapping, std::variant<SafetensorsFile, TorchArchive> file)
    : mapping_(std::move(mapping)), file_(std::move(file)) {
  std::visit(
      [this](const auto& concrete) {
        name_ = concrete.name();
        for (const auto& [name, entry] : concrete.entries())
          entries_.emplace(name, TensorType{entry.dtype, entry.shape});
      },
      file_);
}

HostTensor WeightsFile::tensor(std::string_view name) const {
  return std::visit([&](const auto& concrete) { return concrete.tensor(name); }, file_);
}

}  // namespace capdiff
