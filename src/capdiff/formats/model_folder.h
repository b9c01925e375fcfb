#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "capdiff/formats/json_reader.h"
#include "capdiff/formats/safetensors.h"

namespace capdiff {

/// A model on disk, laid out as on the Hugging Face hub: `config.json` and `model.safetensors`, and where the model
/// needs them `statistics.safetensors`, `vocab.txt`, `preprocessor_config.json`, `scheduler_config.json` and
/// `generation_config.json`. What the files mean is up to the models; here they are found, opened and checked as files.
/// Every error names the file, and is `Error(not_found)` for a missing one and `Error(invalid_model)` for wrong
/// contents.
class ModelFolder {
 public:
  /// Opens the folder with its configurations and weights. Weights are mapped, not read.
  static ModelFolder open(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }

  const JsonReader& config() const { return config_; }
  const SafetensorsFile& weights() const { return weights_; }
  const std::optional<SafetensorsFile>& statistics() const { return statistics_; }
  const std::optional<JsonReader>& preprocessor_config() const { return preprocessor_config_; }
  const std::optional<JsonReader>& scheduler_config() const { return scheduler_config_; }
  const std::optional<JsonReader>& generation_config() const { return generation_config_; }

  /// Path of another file of the folder, such as "vocab.txt". Throws `not_found` that names it.
  std::filesystem::path file(std::string_view name) const;
  /// As `file`, or nothing where there is none.
  std::optional<std::filesystem::path> find(std::string_view name) const;

  /// A weight by name, checked to be finite and of the shape that the configuration implies.
  HostTensor weight(std::string_view name, const Shape& expected) const;

 private:
  ModelFolder(std::filesystem::path path, JsonReader config, SafetensorsFile weights);

  std::filesystem::path path_;
  JsonReader config_;
  SafetensorsFile weights_;
  std::optional<SafetensorsFile> statistics_;
  std::optional<JsonReader> preprocessor_config_;
  std::optional<JsonReader> scheduler_config_;
  std::optional<JsonReader> generation_config_;
};

/// XXH3-64 of the names and the contents of a folder's files, less those for people (.md) and hidden ones: what
/// captions depend on. Throws `Error(io)` that names what cannot be read.
std::uint64_t folder_fingerprint(const std::filesystem::path& folder);

}  // namespace capdiff
