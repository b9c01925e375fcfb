#include "capdiff/training/model_export.h"

#include <spdlog/spdlog.h>

#include <map>
#include <string>

#include "capdiff/base/error.h"
#include "capdiff/training/checkpoint.h"
#include "capdiff/training/ladic_recipe.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

/// The run folder that a folder of a checkpoint belongs to: RUN/checkpoints/STAGE/step-N.
std::optional<fs::path> run_of_checkpoint(const fs::path& path) {
  if (!fs::exists(path / "state.json")) return std::nullopt;
  return fs::absolute(path).lexically_normal().parent_path().parent_path().parent_path();
}

/// All weights of a checkpoint: their averages where asked for and kept.
std::map<std::string, HostTensor> checkpoint_weights(const Checkpoint& checkpoint, bool averaged) {
  std::map<std::string, HostTensor> result;
  const SafetensorsFile& weights = checkpoint.file("weights");
  for (const auto& [name, entry] : weights.entries()) {
    const bool has_average = averaged && checkpoint.file("ema").entries().contains(name);
    result.emplace(name, (has_average ? checkpoint.file("ema") : weights).tensor(name));
  }
  return result;
}

}  // namespace

void export_checkpoint(const fs::path& path, const fs::path& model, const ExportOptions& options) {
  const std::optional<fs::path> owner = run_of_checkpoint(path);
  const fs::path run = owner ? *owner : path;
  if (!fs::exists(run / "recipe.toml"))
    fail(ErrorCode::not_found, "{}: neither a run folder nor a checkpoint of one: there is no {}", path.string(),
         (run / "recipe.toml").string());
  const fs::path checkpoints = run / "checkpoints" / "ladic";
  std::optional<Checkpoint> checkpoint;
  if (owner || options.step) {
    checkpoint = read_checkpoint(owner ? path : checkpoint_path(checkpoints, *options.step));
  } else {
    checkpoint = latest_checkpoint(checkpoints);
  }
  if (!checkpoint) fail(ErrorCode::not_found, "{}: there is no whole checkpoint in it", checkpoints.string());

  const bool averaged = options.averaged && checkpoint->files.contains("ema");
  export_ladic(model, Recipe::load(run / "recipe.toml"), run, checkpoint_weights(*checkpoint, averaged));
  spdlog::info("{}: {} of {}", model.string(), averaged ? "averaged weights" : "weights", checkpoint->path.string());
}

}  // namespace capdiff
