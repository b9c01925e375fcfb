#include "apps/capdiff/bracketed.h"

#include <algorithm>

namespace capdiff::app {
namespace {

constexpr char kMark = '\x1f';  ///< "unit separator"; stands behind a bracketed value

std::string without_mark(std::string value) {
  if (value.ends_with(kMark)) value.pop_back();
  return value;
}

}  // namespace

std::string with_brackets_kept(std::string value) {
  if (value.starts_with('[') && value.ends_with(']')) value.push_back(kMark);
  return value;
}

std::vector<std::string> arguments_with_brackets_kept(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) arguments.push_back(with_brackets_kept(argv[i]));
  std::ranges::reverse(arguments);
  return arguments;
}

void restore_brackets(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands(nullptr))
    for (CLI::Option* option : command->get_options()) option->transform(without_mark);
}

}  // namespace capdiff::app
