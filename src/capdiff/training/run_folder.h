#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// Where a training run keeps everything: `recipe.toml`, `metrics.jsonl`, `checkpoints/STAGE/`, the outputs of its
/// stages, and in `stages/` a marker for each stage that is done.
class RunFolder {
 public:
  enum class Access { read, write };

  /// To write, creates the folder where it is missing and keeps others from writing to it. Throws `Error(usage)` while
  /// another process does.
  explicit RunFolder(std::filesystem::path path, Access access = Access::write);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(std::string_view name) const { return path_ / name; }
  std::filesystem::path checkpoints(std::string_view stage) const { return path_ / "checkpoints" / stage; }

  /// Whether the stage is done and all its outputs are still there. Warns where it was done with other `settings`.
  bool is_done(const std::string& stage, const std::string& settings) const;
  /// Marks a stage as done. Throws `Error(internal)` where one of the outputs does not exist.
  void mark_done(const std::string& stage, const std::string& settings, const std::vector<std::string>& outputs);
  /// Removes marker and checkpoints of a stage; its outputs stay until they are overwritten.
  void forget(const std::string& stage);

 private:
  std::filesystem::path marker(const std::string& stage) const { return path_ / "stages" / (stage + ".done"); }

  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace capdiff
