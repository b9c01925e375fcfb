#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace capdiff {

/// `metrics.jsonl` of a run folder: one JSON object a line, each with "stage" and "step".
class MetricsLog {
 public:
  /// Goes on behind what the file holds, less the lines of `stage` after `step`: those steps are about to be done
  /// again.
  MetricsLog(std::filesystem::path path, std::string stage, std::int64_t step);

  /// Appends a line; "stage" is added to it. Throws `Error(io)` where that fails.
  void write(nlohmann::json line);

 private:
  std::filesystem::path path_;
  std::string stage_;
  std::ofstream stream_;
};

}  // namespace capdiff
