#include "capdiff/training/model_export.h"

#include <spdlog/spdlog.h>

#include <array>
#include <map>
#include <string>

#include "capdiff/base/error.h"
#include "capdiff/training/autoregressive_recipe.h"
#include "capdiff/training/checkpoint.h"
#include "capdiff/training/ladic_recipe.h"
#include "capdiff/training/prefix_recipe.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

/// A stage that makes a captioner, and how the captioner is written.
struct CaptionerStage {
  const char* name;
  void (*write)(const fs::path& folder, const Recipe& recipe, const fs::path& run,
                const std::map<std::string, HostTensor>& weights);
};
constexpr std::array kCaptionerStages{CaptionerStage{"ladic", export_ladic},
                                      CaptionerStage{"prefix_diffusion", export_prefix},
                                      CaptionerStage{"autoregressive", export_autoregressive}};

const CaptionerStage& captioner_stage(const Recipe& recipe) {
  for (const CaptionerStage& stage : kCaptionerStages)
    if (recipe.has(stage.name)) return stage;
  fail(ErrorCode::not_found,
       "{}: the recipe makes no captioner: it has none of [ladic], [prefix_diffusion] and [autoregressive]",
       recipe.name());
}

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
  const Recipe recipe = Recipe::load(run / "recipe.toml");
  const CaptionerStage& stage = captioner_stage(recipe);
  const fs::path checkpoints = run / "checkpoints" / stage.name;
  std::optional<Checkpoint> checkpoint;
  if (owner || options.step) {
    checkpoint = read_checkpoint(owner ? path : checkpoint_path(checkpoints, *options.step));
  } else {
    checkpoint = latest_checkpoint(checkpoints);
  }
  if (!checkpoint) fail(ErrorCode::not_found, "{}: there is no whole checkpoint in it", checkpoints.string());

  const bool averaged = options.averaged && checkpoint->files.contains("ema");
  stage.write(model, recipe, run, checkpoint_weights(*checkpoint, averaged));
  spdlog::info("{}: {} of {}", model.string(), averaged ? "averaged weights" : "weights", checkpoint->path.string());
}

}  // namespace capdiff
