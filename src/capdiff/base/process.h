#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace capdiff {

/// What a program left behind.
struct ProcessResult {
  int exit_code = 0;       ///< 128 + n where signal n ended it
  bool timed_out = false;  ///< it was ended here
  std::string output;      ///< the last 64 KiB of standard output and standard error together
};

/// Runs a program without a shell: `arguments[0]` is looked up on PATH where it has no slash. Its standard input is
/// empty. After `timeout` it is killed. Nothing where no such program can be started. Throws Error(io) where the system
/// refuses anything else.
std::optional<ProcessResult> run_process(const std::vector<std::string>& arguments,
                                         const std::filesystem::path& working_folder, std::chrono::seconds timeout);

/// A new folder that nobody else may read, removed with all its files at the end.
class PrivateFolder {
 public:
  /// Below the system's folder for temporary files. Throws Error(io) where that is not possible.
  PrivateFolder();
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace capdiff
