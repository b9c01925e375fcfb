#include "capdiff/evaluation/verify.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/capdiff/command.h"
#include "apps/capdiff/model_options.h"

namespace capdiff::app {
namespace {

struct VerifyArguments {
  std::string folder;
  std::string backend = "onednn", device = "cpu";
  std::string vocabulary;
  std::string meteor_data;
  bool json = false;
};

int verify_folder(const VerifyArguments& arguments) {
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
  command->add_option("--backend", arguments->backend, "What computes; torch runs capdiff-train")
      ->check(CLI::IsMember({"onednn", "torch"}))
      ->capture_default_str();
  add_device_option(*command, arguments->device);
  command->add_option("--vocab", arguments->vocabulary, "Vocabulary of the tokeniser's goldens")->type_name("FILE");
  command->add_option("--meteor-data", arguments->meteor_data, "METEOR's data folder, for the goldens of the metrics")
      ->type_name("DIR");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  add_configuration(*command, action, [arguments] { return verify_folder(*arguments); });
}

}  // namespace capdiff::app
