#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace capdiff::test {

/// What a program left behind.
struct CommandResult {
  int exit_code = 0;
  std::string output;  ///< standard output
  std::string errors;  ///< standard error
};

/// Runs build/bin/capdiff with the arguments, and with `input` as its standard input.
CommandResult run_capdiff(const std::vector<std::string>& arguments, const std::string& input = "");

/// The same of another program of build/bin.
CommandResult run_program(const std::string& program, const std::vector<std::string>& arguments,
                          const std::string& input = "");

/// A drawing that any model says something about.
inline const std::filesystem::path kScene = std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/e2e/scene.png";

/// The bytes of a file.
std::string read_text_bytes(const std::filesystem::path& path);

}  // namespace capdiff::test
