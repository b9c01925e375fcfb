#include "capdiff/training/stages.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/suggestion.h"

namespace capdiff {
namespace {

void check_names(const Recipe& recipe, const std::vector<std::string>& only, const std::vector<Stage>& stages) {
  std::vector<std::string> known;
  for (const Stage& stage : stages) known.push_back(stage.name);
  for (const std::string& name : only) {
    if (std::ranges::find(known, name) == known.end()) {
      fail(ErrorCode::usage, "--stage {}: there is no such stage{}", name, suggestion(name, known));
    }
    if (!recipe.has(name)) fail(ErrorCode::usage, "--stage {}: the recipe has no table [{}]", name, name);
  }
}

/// A mistake in the last table should not cost the hours that the first stages take.
void check_recipe(const Recipe& recipe, const std::vector<std::string>& only, const std::vector<Stage>& stages) {
  check_names(recipe, only, stages);
  for (const Stage& stage : stages)
    if (recipe.has(stage.name)) stage.check(recipe);
}

}  // namespace

RunContext::RunContext(const Recipe& recipe, const RunFolder& folder, std::string stage, bool resume,
                       std::shared_ptr<Ranks> ranks)
    : recipe_(recipe), folder_(folder), stage_(std::move(stage)), resume_(resume), ranks_(std::move(ranks)) {}

std::filesystem::path RunContext::output(const std::string& name) {
  if (std::ranges::find(outputs_, name) == outputs_.end()) outputs_.push_back(name);
  return folder_.file(name);
}

std::unique_ptr<TorchBackend> RunContext::make_backend() const {
  return make_torch_backend(recipe_.backend(), rank_device(recipe_, ranks_->local_rank()));
}

TrainerContext RunContext::trainer() const {
  return {.stage = stage_,
          .checkpoints = folder_.checkpoints(stage_),
          .metrics = folder_.file("metrics.jsonl"),
          .seed = recipe_.seed(),
          .resume = resume_,
          .keep_checkpoints = recipe_.keep_checkpoints(),
          .ranks = ranks_};
}

torch::Device rank_device(const Recipe& recipe, int local_rank) {
  if (recipe.device() != "cuda") return torch::kCPU;
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(local_rank)};
}

const std::vector<Stage>& training_stages() {
  static const std::vector<Stage> stages{vocabulary_stage(),     language_model_stage(),  statistics_stage(),
                                         text_diffusion_stage(), image_encoder_stage(),   ladic_stage(),
                                         clip_stage(),           word_vocabulary_stage(), prefix_stage(),
                                         autoregressive_stage()};
  return stages;
}

void run_recipe(const Recipe& recipe, const RunOptions& options, const std::vector<Stage>& stages) {
  check_recipe(recipe, options.only, stages);
  Ranks& ranks = *options.ranks;
  RunFolder folder(recipe.output(), ranks.leads() ? RunFolder::Access::write : RunFolder::Access::read);
  if (ranks.leads()) write_file_atomically(folder.file("recipe.toml"), recipe.toml());
  for (const Stage& stage : stages) {
    const bool wanted = options.only.empty() || std::ranges::find(options.only, stage.name) != options.only.end();
    if (!wanted || !recipe.has(stage.name)) continue;
    const std::string settings = recipe.table(stage.name).json().dump();
    if (ranks.leads() && !options.resume) folder.forget(stage.name);
    if (ranks.leader_says(ranks.leads() && folder.is_done(stage.name, settings))) {
      spdlog::info("stage {} is done", stage.name);
      continue;
    }
    RunContext run(recipe, folder, stage.name, options.resume, options.ranks);
    if (stage.shared || ranks.leads()) {
      spdlog::info("stage {} begins", stage.name);
      stage.run(run);
    }
    if (ranks.leads()) folder.mark_done(stage.name, settings, run.outputs());
    ranks.meet();
  }
}

}  // namespace capdiff
