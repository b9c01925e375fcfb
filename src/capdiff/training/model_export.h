#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace capdiff {

struct ExportOptions {
  std::optional<std::int64_t> step;  ///< none: the newest
  bool averaged = true;              ///< the moving average of the weights, where one was kept
};

/// Makes a model folder of a checkpoint of the stage that makes the captioner: [ladic], [prefix_diffusion] or
/// [autoregressive]. `run` is
/// a run folder, or a folder step-N of its checkpoints; the run may go on meanwhile. Throws `Error(not_found)` where
/// there is no such checkpoint, and what reading recipe and checkpoint throws.
void export_checkpoint(const std::filesystem::path& run, const std::filesystem::path& model,
                       const ExportOptions& options);

}  // namespace capdiff
