#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/capdiff/bracketed.h"
#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"
#include "capdiff/base/logging.h"
#include "capdiff/base/suggestion.h"
#include "capdiff/base/utf8.h"

namespace {

using namespace capdiff;

/// The option of the chosen subcommand that only capdiff-train can follow, or nothing.
const char* option_for_train(const CLI::App& app) {
  constexpr const char* kOptions[][3] = {{"--device", "cuda", "'--device cuda'"},
                                         {"--backend", "torch", "'--backend torch'"}};
  const CLI::App& command = *app.get_subcommands().front();
  for (const auto& [name, value, both] : kOptions)
    if (const CLI::Option* option = command.get_option_no_throw(name); option && option->as<std::string>() == value)
      return both;
  return nullptr;
}

/// CLI11 takes a command that it does not know for an argument of a command that is missing.
void check_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (std::ranges::find(names, argv[1]) == names.end())
    fail(ErrorCode::usage, "there is no command '{}'{}", argv[1], suggestion(argv[1], names));
}

int run(int argc, char** argv) {
  CLI::App app{"Captions images by diffusion.", "capdiff"};
  app.set_version_flag("--version", "capdiff " CAPDIFF_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    const std::vector<CLI::App*> chosen = failed->get_subcommands();
    return fmt::format("capdiff: {}\nRun 'capdiff {}--help' for what is possible.\n", error.what(),
                       chosen.empty() ? "" : chosen.front()->get_name() + " ");
  });

  app::Action action;
  app::add_caption(app, action);
  app::add_fill(app, action);
  app::add_evaluate(app, action);
  app::add_score(app, action);
  app::add_train(app, action, argc, argv);
  app::add_launch(app, action);
  app::add_alignment(app, action);
  app::add_info(app, action);
  app::add_convert(app, action);
  app::add_tokenize(app, action);
  app::add_verify(app, action);
  app::add_bench(app, action);
  app::add_serve(app, action);

  app::restore_brackets(app);
  check_command(app, argc, argv);
  try {
    app.parse(app::arguments_with_brackets_kept(argc, argv));
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? app::kDone : app::kUsage;
  }
  if (const char* option = option_for_train(app)) app::execute_train({argv + 1, argv + argc}, option);
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    set_up_logging();
    return run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "capdiff: {}\n", without_controls(error.what()));
    return error.code() == ErrorCode::usage ? app::kUsage : app::kFailed;
  } catch (const std::exception& error) {
    fmt::print(stderr, "capdiff: unexpected failure: {}\n", error.what());
    return app::kFailed;
  }
}
