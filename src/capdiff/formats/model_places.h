#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace capdiff {

/// Where a model folder is sought that nobody named.
struct ModelPlaces {
  std::string name;              ///< of its folder: "default"
  std::string variable;          ///< the environment variable that may name it
  std::filesystem::path binary;  ///< the program or library that asks; may be empty

  /// What the variable says; else the first of `folders` that holds a config.json; else nothing.
  std::optional<std::filesystem::path> find() const;
  /// models/NAME beside the binary's build tree, share/capdiff/models/NAME of the prefix that it is installed under,
  /// capdiff/models/NAME in the user's data folder.
  std::vector<std::filesystem::path> folders() const;
  /// Those, for an error.
  std::string listed() const;
};

}  // namespace capdiff
