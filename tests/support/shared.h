#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

namespace capdiff::test {

/// A file or folder of the development data that lives beside the checkout, or nothing where it is absent.
/// Tests that need it skip with a message.
inline std::optional<std::filesystem::path> shared_file(std::string_view relative) {
  const char* root = std::getenv("CAPDIFF_SHARED");
  const std::filesystem::path path =
      (root ? std::filesystem::path(root) : std::filesystem::path(CAPDIFF_SOURCE_DIR) / ".." / "shared") / relative;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

}  // namespace capdiff::test

/// Binds `name` to a path of the development data, or skips the test.
#define CAPDIFF_SHARED_OR_SKIP(name, relative)                                              \
  const auto name##_found = ::capdiff::test::shared_file(relative);                         \
  if (!name##_found) GTEST_SKIP() << "development data is not here: shared/" << (relative); \
  const std::filesystem::path name = *name##_found
