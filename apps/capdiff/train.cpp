#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "apps/capdiff/command.h"
#include "capdiff/base/error.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

/// $CAPDIFF_TRAIN, then beside this program; otherwise the bare name, which execvp looks up on PATH.
std::string train_program() {
  if (const char* given = std::getenv("CAPDIFF_TRAIN"); given && *given) return given;
  std::error_code ignored;
  const fs::path beside = fs::read_symlink("/proc/self/exe", ignored).parent_path() / "capdiff-train";
  return fs::exists(beside, ignored) ? beside.string() : "capdiff-train";
}

}  // namespace

void execute_train(const std::vector<std::string>& arguments, const std::string& purpose) {
  const std::string program = train_program();
  std::vector<char*> pointers{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  ::execvp(program.c_str(), pointers.data());
  fail(ErrorCode::not_found,
       "capdiff-train cannot be started ({}: {}); {} needs it: install libtorch-dev and build capdiff again, or "
       "point $CAPDIFF_TRAIN to it",
       program, std::strerror(errno), purpose);
}

void add_train(CLI::App& app, Action& action, int argc, char** argv) {
  constexpr const char* kForwarded[][3] = {
      {"train", "Train a model from a recipe (runs capdiff-train)", "training"},
      {"export", "Make a model folder of a training checkpoint (runs capdiff-train)", "export"},
  };
  for (const auto& [name, description, purpose] : kForwarded) {
    CLI::App* command = app.add_subcommand(name, description);
    command->set_help_flag();
    command->allow_extras();
    command->prefix_command();
    command->callback([&action, argc, argv, purpose = purpose] {
      action = [argc, argv, purpose]() -> int { execute_train({argv + 1, argv + argc}, purpose); };
    });
  }
}

}  // namespace capdiff::app
