#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "capdiff/training/tensorboard_log.h"
#include "capdiff/training/training_curves.h"

namespace capdiff {

/// `metrics.jsonl` of a run folder, one JSON object a line, each with "stage" and "step"; and the same numbers where
/// people look at them: in `tensorboard/STAGE/` and in `curves.svg` beside it.
class MetricsLog {
 public:
  /// Goes on behind what the file holds, less the lines of `stage` after `step`: those steps are about to be done
  /// again.
  MetricsLog(std::filesystem::path path, std::string stage, std::int64_t step);
  /// Draws the curves.
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// Appends a line; "stage" is added to it. TensorBoard gets its numbers under their keys, those of nested objects as
  /// "losses/loss". Throws `Error(io)` where that fails. Now and then the curves are drawn anew.
  void write(nlohmann::json line);

 private:
  using Clock = std::chrono::steady_clock;

  /// Curves are a convenience: a warning where they cannot be written.
  void draw_curves();

  std::filesystem::path path_;
  std::string stage_;
  std::ofstream stream_;
  std::int64_t first_step_;
  std::optional<TensorBoardLog> tensorboard_;  // begun by the first line
  TrainingCurves curves_;
  Clock::time_point drawn_ = Clock::now();
};

}  // namespace capdiff
