#include "capdiff/formats/model_places.h"

#include <fmt/ranges.h>

#include <cstdlib>

namespace capdiff {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> environment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

std::optional<fs::path> ModelPlaces::find() const {
  if (const auto folder = environment(variable)) return *folder;
  std::error_code ignored;
  for (const fs::path& folder : folders())
    if (fs::exists(folder / "config.json", ignored)) return folder;
  return std::nullopt;
}

std::vector<fs::path> ModelPlaces::folders() const {
  std::vector<fs::path> found;
  if (!binary.empty()) {
    const fs::path prefix = binary.parent_path().parent_path();
    found.push_back(prefix / "models" / name);
    found.push_back(prefix / "share" / "capdiff" / "models" / name);
    // A library may lie in lib/ARCHITECTURE.
    found.push_back(prefix.parent_path() / "share" / "capdiff" / "models" / name);
  }
  if (const auto data = environment("XDG_DATA_HOME"))
    found.push_back(fs::path(*data) / "capdiff" / "models" / name);
  else if (const auto home = environment("HOME"))
    found.push_back(fs::path(*home) / ".local" / "share" / "capdiff" / "models" / name);
  return found;
}

std::string ModelPlaces::listed() const {
  std::vector<std::string> names;
  for (const fs::path& folder : folders()) names.push_back(folder.string());
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace capdiff
