#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>

#include "apps/capdiff/inputs.h"

namespace capdiff::app {

/// The files that a run reads and writes, so that none is written that it reads, and none by two. A file is known by
/// its path with all links resolved: a file that is written takes the place of what has that path.
class NamedFiles {
 public:
  struct Owner {
    std::string name;      ///< a picture, or an option with its file
    bool is_read = false;  ///< whether the file is that picture, or that option's list
  };

  explicit NamedFiles(std::span<const Input> inputs);

  void add_read(const std::filesystem::path& file, const std::string& name);
  /// What the file is already, or null.
  const Owner* owner_of(const std::filesystem::path& file);
  /// Notes that the file is written for `name`. What is there already stays.
  void add_written(const std::filesystem::path& file, const std::string& name);
  /// The same of a file that an option names, "-o" for example. Throws `Error(usage)` for one that is a picture or a
  /// tar file or is called like one, and for one that is read or written already. Devices and pipes may be.
  void add_option(const std::string& option, const std::filesystem::path& file);

 private:
  std::string key_of(const std::filesystem::path& file);

  std::unordered_map<std::string, std::string> folders_;  // resolved
  std::unordered_map<std::string, Owner> owners_;
};

}  // namespace capdiff::app
