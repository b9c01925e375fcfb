#include "tests/support/command.h"

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

/// For the shell: in single quotes, with those inside ended and escaped.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

CommandResult run_capdiff(const std::vector<std::string>& arguments, const std::string& input) {
  return run_program("capdiff", arguments, input);
}

CommandResult run_program(const std::string& program, const std::vector<std::string>& arguments,
                          const std::string& input) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "in", std::ios::binary) << input;
  std::string command = quoted(std::string(CAPDIFF_BINARY_DIR) + "/bin/" + program);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  for (const auto& [redirection, name] : {std::pair{" <", "in"}, {" >", "out"}, {" 2>", "err"}})
    command += redirection + quoted((folder.path() / name).string());
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text_bytes(folder.path() / "out"),
          read_text_bytes(folder.path() / "err")};
}

std::string read_text_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace capdiff::test
