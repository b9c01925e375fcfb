#include "capdiff/evaluation/verify.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"

namespace capdiff::app {
namespace {

struct VerifyArguments {
  std::string folder;
  std::string backend = "onednn";
  std::string vocabulary;
  std::string meteor_data;
  bool json = false;
};

int verify_folder(const VerifyArguments& arguments) {
  if (arguments.backend == "torch") {
    std::vector<std::string> passed_on{"verify", arguments.folder};
    if (arguments.json) passed_on.emplace_back("--json");
    if (!arguments.vocabulary.empty()) passed_on.insert(passed_on.end(), {"--vocab", arguments.vocabulary});
    if (!arguments.meteor_data.empty()) passed_on.insert(passed_on.end(), {"--meteor-data", arguments.meteor_data});
    execute_train(passed_on, "'--backend torch'");
  }
  VerifyOptions options;
  if (!arguments.vocabulary.empty()) options.vocabulary = arguments.vocabulary;
  if (!arguments.meteor_data.empty()) options.meteor_data = arguments.meteor_data;
  const auto backend = make_onednn_backend({});
  const GoldenReport report = verify(arguments.folder, *backend, options);
  fmt::print("{}", arguments.json ? to_json(report).dump(2) + "\n" : to_table(report));
  return report.failed() == 0 ? kDone : kFailed;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("verify", "Recompute a folder of golden numbers and compare");
  auto arguments = std::make_shared<VerifyArguments>();
  command->add_option("GOLDEN_DIR", arguments->folder, "Folder of goldens")->required();
  command->add_option("--backend", arguments->backend, "What computes")
      ->check(CLI::IsMember({"onednn", "torch"}))
      ->capture_default_str();
  command->add_option("--vocab", arguments->vocabulary, "Vocabulary of the tokeniser's goldens")->type_name("FILE");
  command->add_option("--meteor-data", arguments->meteor_data, "METEOR's data folder, for the goldens of the metrics")
      ->type_name("DIR");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  add_configuration(*command, action, [arguments] { return verify_folder(*arguments); });
}

}  // namespace capdiff::app
