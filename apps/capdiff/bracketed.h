#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace capdiff::app {

// CLI11 takes a value "[a,b]" of an option with several values for a list, and drops the brackets. Here such a value
// is a sentence, "[MASK] on the [MASK]", or a folder called "[2020]": it is kept by a mark that is taken off again.

/// `value` as it may be handed to CLI11.
std::string with_brackets_kept(std::string value);
/// The arguments of a program, without its name, in the order of `CLI::App::parse`: the last one first.
std::vector<std::string> arguments_with_brackets_kept(int argc, char** argv);
/// Takes the marks off the values of all options of the app's subcommands; call it when these are complete.
void restore_brackets(CLI::App& app);

}  // namespace capdiff::app
