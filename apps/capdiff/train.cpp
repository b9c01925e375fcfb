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

int execute_train(int argc, char** argv) {
  const std::string program = train_program();
  std::vector<char*> arguments{const_cast<char*>(program.c_str())};
  for (int i = 1; i < argc; ++i) arguments.push_back(argv[i]);
  arguments.push_back(nullptr);
  ::execvp(program.c_str(), arguments.data());
  fail(ErrorCode::not_found,
       "capdiff-train cannot be started ({}: {}); training needs it: install libtorch-dev and build capdiff again, or "
       "point $CAPDIFF_TRAIN to it",
       program, std::strerror(errno));
}

}  // namespace

void add_train(CLI::App& app, Action& action, int argc, char** argv) {
  CLI::App* command = app.add_subcommand("train", "Train a model from a recipe (runs capdiff-train)");
  command->set_help_flag();
  command->allow_extras();
  command->prefix_command();
  command->callback([&action, argc, argv] { action = [argc, argv] { return execute_train(argc, argv); }; });
}

}  // namespace capdiff::app
