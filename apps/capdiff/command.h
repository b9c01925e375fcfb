#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace capdiff::app {

/// Exit codes of the command line, a contract.
enum ExitCode : int { kDone = 0, kFailed = 1, kUsage = 2, kSomeFailed = 3 };

/// Signal n ends a command with this and n.
constexpr int kSignalled = 128;

/// What the chosen subcommand does once all options are parsed; returns the exit code.
using Action = std::function<int()>;

/// Becomes capdiff-train with these arguments: $CAPDIFF_TRAIN, then the one beside this program, then that on PATH.
/// `purpose` begins the error where there is none: "training".
[[noreturn]] void execute_train(const std::vector<std::string>& arguments, const std::string& purpose);

/// Gives a subcommand `--config FILE` and `--dump-config`, and makes it the chosen action when it is on the command
/// line.
void add_configuration(CLI::App& command, Action& action, Action run);

/// Each adds one subcommand with its options and sets `action` when it is chosen.
void add_caption(CLI::App& app, Action& action);
void add_evaluate(CLI::App& app, Action& action);
void add_fill(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_alignment(CLI::App& app, Action& action);
void add_info(CLI::App& app, Action& action);
void add_convert(CLI::App& app, Action& action);
void add_score(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
/// `train` and `export` belong to capdiff-train, which is executed in place of this program.
void add_train(CLI::App& app, Action& action, int argc, char** argv);
/// `launch` starts several processes of capdiff-train and watches over them.
void add_launch(CLI::App& app, Action& action);

}  // namespace capdiff::app
