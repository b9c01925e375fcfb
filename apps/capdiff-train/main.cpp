#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/capdiff/bracketed.h"
#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/base/interruption.h"
#include "capdiff/base/logging.h"
#include "capdiff/training/model_export.h"
#include "capdiff/training/rank_environment.h"
#include "capdiff/training/ranks.h"
#include "capdiff/training/recipe.h"
#include "capdiff/training/stages.h"
#include "capdiff/training/verify_gradients.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

struct TrainArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  std::vector<std::string> stages;
  std::string from;
  std::optional<int> threads;
  std::optional<int> keep;
  bool resume = true;
  bool dump_config = false;
};

struct ExportArguments {
  std::string run;
  std::string output;
  std::optional<std::int64_t> step;
  bool averaged = true;
};

struct VerifyArguments {
  std::string folder;
  std::string vocabulary;
  std::string meteor_data;
  std::string backend = "torch", device = "cpu";
  bool json = false;
};

CLI::App* add_train(CLI::App& app, TrainArguments& arguments) {
  CLI::App* train = app.add_subcommand("train", "Train what a recipe describes");
  train->add_option("RECIPE", arguments.recipe, "A recipe: recipes/NAME.toml")->required();
  train->add_option("--set", arguments.overrides, "Override a setting: --set ladic.learning_rate=1e-4")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  train->add_option("--stage", arguments.stages, "Run only this stage; may be given again")
      ->type_name("NAME")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  train->add_option("--from", arguments.from, "Start from the weights of this model folder")->type_name("DIR");
  train->add_option("--threads", arguments.threads, "CPU threads (default: what the machine offers)")->type_name("N");
  train->add_option("--keep", arguments.keep, "Checkpoints of a stage that are kept (default: 2)")->type_name("K");
  train->add_flag("--resume,!--no-resume", arguments.resume,
                  "Go on where an earlier run stopped (default), or start anew");
  train->add_flag("--dump-config", arguments.dump_config, "Print the recipe in force and stop");
  return train;
}

void run_train(TrainArguments arguments) {
  if (!arguments.from.empty()) arguments.overrides.push_back("from.model=" + nlohmann::json(arguments.from).dump());
  if (arguments.threads) arguments.overrides.push_back(fmt::format("threads={}", *arguments.threads));
  if (arguments.keep) arguments.overrides.push_back(fmt::format("keep_checkpoints={}", *arguments.keep));
  const capdiff::Recipe recipe = capdiff::Recipe::load(arguments.recipe, arguments.overrides);
  if (arguments.dump_config) {
    fmt::print("{}", recipe.toml());
    return;
  }
  const capdiff::RankEnvironment environment = capdiff::read_rank_environment();
  if (environment.rank > 0 && !std::getenv("CAPDIFF_LOG")) capdiff::set_up_logging("warning");
  const auto ranks = std::make_shared<capdiff::Ranks>(environment, capdiff::rank_device(recipe, environment.local_rank),
                                                      recipe.rank_timeout());
  capdiff::run_recipe(recipe, {.resume = arguments.resume, .only = arguments.stages, .ranks = ranks});
}

CLI::App* add_export(CLI::App& app, ExportArguments& arguments) {
  CLI::App* command = app.add_subcommand("export", "Make a model folder of a checkpoint");
  command->add_option("RUN", arguments.run, "A run folder, or one of its checkpoints/ladic/step-N")->required();
  command->add_option("-o,--output", arguments.output, "Where to write the model")->type_name("DIR")->required();
  command->add_option("--step", arguments.step, "The checkpoint of this step (default: the newest whole one)")
      ->type_name("N");
  command->add_flag("--ema,!--no-ema", arguments.averaged,
                    "The moving average of the weights where one was kept (default), or the weights themselves");
  return command;
}

CLI::App* add_verify(CLI::App& app, VerifyArguments& arguments) {
  CLI::App* verify = app.add_subcommand("verify", "Recompute a folder of golden numbers with LibTorch and compare");
  verify->add_option("GOLDEN_DIR", arguments.folder, "Folder of goldens")->required();
  verify->add_option("--backend", arguments.backend, "What computes")->check(CLI::IsMember({"torch"}));
  verify->add_option("--device", arguments.device, "Where to compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  verify->add_option("--vocab", arguments.vocabulary, "Vocabulary of the tokeniser's goldens")->type_name("FILE");
  verify->add_option("--meteor-data", arguments.meteor_data, "METEOR's data folder, for the goldens of the metrics")
      ->type_name("DIR");
  verify->add_flag("--json", arguments.json, "Print one JSON object");
  return verify;
}

int run_verify(const VerifyArguments& arguments) {
  capdiff::TorchGradientCheck gradients;
  capdiff::VerifyOptions options{.gradients = &gradients};
  if (!arguments.vocabulary.empty()) options.vocabulary = arguments.vocabulary;
  if (!arguments.meteor_data.empty()) options.meteor_data = arguments.meteor_data;
  const auto backend =
      capdiff::make_torch_backend({}, arguments.device == "cuda" ? torch::Device(torch::kCUDA, 0) : torch::kCPU);
  const capdiff::GoldenReport report = capdiff::verify(arguments.folder, *backend, options);
  fmt::print("{}", arguments.json ? capdiff::to_json(report).dump(2) + "\n" : capdiff::to_table(report));
  return report.failed() == 0 ? 0 : kFailed;
}

int report(std::string_view message, int exit_code) {
  fmt::print(stderr, "capdiff-train: {}\n", message);
  return exit_code;
}

/// Every training step asks for the same large tensors and drops them again. glibc would map and unmap each of them,
/// and the kernel clear it: half of the time. So memory stays with the process.
void keep_memory() {
  constexpr int kLargest = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, kLargest);
  mallopt(M_TOP_PAD, 1 << 26);
}

int run(int argc, char** argv) {
  CLI::App app("Trains the captioners of capdiff, and computes with LibTorch what capdiff does", "capdiff-train");
  app.set_version_flag("--version", "capdiff-train " CAPDIFF_VERSION);
  app.require_subcommand(1);
  TrainArguments arguments;
  const CLI::App* train = add_train(app, arguments);
  ExportArguments exported;
  const CLI::App* export_command = add_export(app, exported);
  VerifyArguments verified;
  const CLI::App* verify = add_verify(app, verified);
  capdiff::app::Action action;
  capdiff::app::add_caption(app, action);
  capdiff::app::add_fill(app, action);
  capdiff::app::add_evaluate(app, action);
  capdiff::app::add_alignment(app, action);
  capdiff::app::add_bench(app, action);
  capdiff::app::add_serve(app, action);
  capdiff::app::restore_brackets(app);
  try {
    app.parse(capdiff::app::arguments_with_brackets_kept(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;
  }
  if (train->parsed()) run_train(arguments);
  if (export_command->parsed())
    capdiff::export_checkpoint(exported.run, exported.output, {exported.step, exported.averaged});
  if (verify->parsed()) return run_verify(verified);
  return action ? action() : 0;
}

}  // namespace

int main(int argc, char** argv) {
  keep_memory();
  try {
    capdiff::set_up_logging();
    return run(argc, argv);
  } catch (const capdiff::Interrupted& interrupted) {
    return report(interrupted.what(), 128 + interrupted.signal());
  } catch (const capdiff::Error& error) {
    return report(error.what(), error.code() == capdiff::ErrorCode::usage ? kWrongUsage : kFailed);
  } catch (const std::exception& error) {
    return report(error.what(), kFailed);
  }
}
