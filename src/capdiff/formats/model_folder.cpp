#include "capdiff/formats/model_folder.h"

#include <map>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/hash.h"

namespace capdiff {
namespace {

JsonReader open_config(const std::filesystem::path& path) {
  return JsonReader::open(path, ErrorCode::invalid_model);
}

/// A file of a model folder, or nothing where there is none.
std::optional<std::filesystem::path> find_in(const std::filesystem::path& folder, std::string_view name) {
  if (name.empty() || std::filesystem::path(name).filename() != name || name == "." || name == "..")
    fail(ErrorCode::invalid_model, "{}: \"{}\" is not the name of a file in it", folder.string(), name);
  std::filesystem::path path = folder / name;
  std::error_code ignored;  // what cannot be looked at is reported when it is opened
  if (std::filesystem::status(path, ignored).type() == std::filesystem::file_type::not_found) return std::nullopt;
  return path;
}

std::filesystem::path require_in(const std::filesystem::path& folder, std::string_view name) {
  std::optional<std::filesystem::path> path = find_in(folder, name);
  if (!path) fail(ErrorCode::not_found, "the model folder {} has no {}", folder.string(), name);
  return *std::move(path);
}

std::optional<JsonReader> find_config(const std::filesystem::path& folder, std::string_view name) {
  const std::optional<std::filesystem::path> path = find_in(folder, name);
  if (!path) return std::nullopt;
  return open_config(*path);
}

}  // namespace

ModelFolder::ModelFolder(std::filesystem::path path, JsonReader config, SafetensorsFile weights)
    : path_(std::move(path)), config_(std::move(config)), weights_(std::move(weights)) {}

ModelFolder ModelFolder::open(const std::filesystem::path& folder) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(folder, ignored);
  if (!std::filesystem::exists(status)) fail(ErrorCode::not_found, "there is no model folder {}", folder.string());
  if (!std::filesystem::is_directory(status))
    fail(ErrorCode::invalid_model, "{} is not a folder; expected one with config.json and model.safetensors",
         folder.string());

  JsonReader config = open_config(require_in(folder, "config.json"));
  ModelFolder model(folder, std::move(config), SafetensorsFile::open(require_in(folder, "model.safetensors")));
  if (const auto statistics = model.find("statistics.safetensors"))
    model.statistics_ = SafetensorsFile::open(*statistics);
  model.preprocessor_config_ = find_config(folder, "preprocessor_config.json");
  model.scheduler_config_ = find_config(folder, "scheduler_config.json");
  model.generation_config_ = find_config(folder, "generation_config.json");
  return model;
}

std::filesystem::path ModelFolder::file(std::string_view name) const {
  return require_in(path_, name);
}

std::optional<std::filesystem::path> ModelFolder::find(std::string_view name) const {
  return find_in(path_, name);
}

HostTensor ModelFolder::weight(std::string_view name, const Shape& expected) const {
  HostTensor tensor = weights_.tensor(name, expected);
  require_finite(tensor, name, weights_.name());
  return tensor;
}

std::uint64_t folder_fingerprint(const std::filesystem::path& folder) {
  std::map<std::string, std::uint64_t> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const std::filesystem::path& path = entry->path();
    if (entry->is_regular_file(ignored) && path.extension() != ".md" && !path.filename().string().starts_with("."))
      files.emplace(path.filename().string(), xxh3_64(MappedFile::open(path)->bytes()));
  }
  if (error) fail(ErrorCode::io, "{}: {}", folder.string(), error.message());
  std::string text;
  for (const auto& [name, hash] : files) text += fmt::format("{} {:016x}\n", name, hash);
  return xxh3_64(std::as_bytes(std::span(text)));
}

}  // namespace capdiff
