#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/training/recipe.h"
#include "capdiff/training/run_folder.h"
#include "capdiff/training/starting_point.h"
#include "capdiff/training/trainer.h"

namespace capdiff {

/// What a stage of training is given: the recipe, the run folder, and whether to go on where an earlier run stopped.
class RunContext {
 public:
  RunContext(const Recipe& recipe, const RunFolder& folder, std::string stage, bool resume,
             std::shared_ptr<Ranks> ranks);

  const Recipe& recipe() const { return recipe_; }
  const DataOptions& data() const { return recipe_.data(); }
  std::uint64_t seed() const { return recipe_.seed(); }
  bool resume() const { return resume_; }
  /// Whether this rank writes what the stage has made.
  bool leads() const { return ranks_->leads(); }
  const std::string& stage() const { return stage_; }
  /// The stage's own table of the recipe.
  JsonReader table() const { return recipe_.table(stage_); }

  const std::filesystem::path& folder() const { return folder_.path(); }
  /// A file of the run folder, such as the output of an earlier stage.
  std::filesystem::path file(std::string_view name) const { return folder_.file(name); }
  /// What the recipe's table [from] says to start from.
  StartingPoint from() const { return StartingPoint::of(recipe_); }
  /// The same for a file or folder that this stage writes. The stage counts as done once it has returned and all its
  /// outputs exist.
  std::filesystem::path output(const std::string& name);
  const std::vector<std::string>& outputs() const { return outputs_; }

  /// A fresh backend with the arithmetic, threads and device of the recipe.
  std::unique_ptr<TorchBackend> make_backend() const;
  /// What `train` needs; the validation is left to be filled in.
  TrainerContext trainer() const;

 private:
  const Recipe& recipe_;
  const RunFolder& folder_;
  std::string stage_;
  bool resume_;
  std::shared_ptr<Ranks> ranks_;
  std::vector<std::string> outputs_;
};

/// Where a rank of a recipe computes: on the GPU of its number where the recipe wants one.
torch::Device rank_device(const Recipe& recipe, int local_rank);

/// A step of training with a table of its own in the recipe.
struct Stage {
  std::string name;  ///< that of the table
  std::function<void(RunContext&)> run;
  /// Whether all ranks run it together. The leader alone runs the others while the rest wait.
  bool shared = false;
  /// Reads the table and throws `Error(usage)` for what is wrong with it: before any stage runs.
  std::function<void(const Recipe&)> check = [](const Recipe&) {};

  /// A stage that reads its table with `read` and then runs.
  template <class Options>
  static Stage of(std::string name, Options (*read)(const Recipe& recipe, const JsonReader& table),
                  void (*run)(RunContext& run, const Options& options), bool shared = false) {
    return {name, [=](RunContext& context) { run(context, read(context.recipe(), context.table())); }, shared,
            [=](const Recipe& recipe) { read(recipe, recipe.table(name)); }};
  }
};

/// WordPiece vocabulary of the captions → vocab.txt.
Stage vocabulary_stage();
/// Masked-language training of the BERT on caption text.
Stage language_model_stage();
/// Mean and deviation of the latent space.
Stage statistics_stage();
/// The image encoder, from a teacher's features.
Stage image_encoder_stage();
/// LaDiC's diffuser on captions without photos.
Stage text_diffusion_stage();
/// LaDiC itself, down to a model folder.
Stage ladic_stage();
/// A small CLIP on captioned photos → clip/.
Stage clip_stage();

/// The words of the captions → words.txt.
Stage word_vocabulary_stage();
/// Prefix-diffusion, down to a model folder.
Stage prefix_stage();

/// A captioner that writes from left to right, down to a model folder.
Stage autoregressive_stage();

/// All stages, in the order in which they run.
const std::vector<Stage>& training_stages();

struct RunOptions {
  /// Skip stages that are done and go on with the one under way; otherwise every stage starts anew.
  bool resume = true;
  /// Only these stages; empty: all.
  std::vector<std::string> only = {};
  /// Who trains.
  std::shared_ptr<Ranks> ranks = std::make_shared<Ranks>();
};

/// Runs the stages that the recipe has tables for. Throws `Error(usage)` where `only` names a stage that does not exist
/// or has no table, or where a table or the model is not as it should be: before anything runs.
void run_recipe(const Recipe& recipe, const RunOptions& options, const std::vector<Stage>& stages = training_stages());

}  // namespace capdiff
