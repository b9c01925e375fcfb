#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {

/// The real program, a tiny model, and a folder of pictures that differ from each other.
class CaptionedFolder : public testing::Test {
 protected:
  void SetUp() override;

  CommandResult caption(std::vector<std::string> arguments, const std::string& input = "") const;
  /// The whole command line of `caption`, the program first.
  std::vector<std::string> command(std::vector<std::string> arguments) const;

  /// A PNG file of a drawing of its own for every number.
  static std::string picture(int number);
  /// Adds the next picture to the folder.
  void add_picture(const std::string& name);
  /// Writes a file into the folder.
  void write(const std::string& name, const std::string& content) const;
  /// The path of something in the folder, or of the folder.
  std::string photos(const std::string& name = "") const;
  std::string text(const std::string& name) const { return read_text_bytes(photos(name)); }

  TemporaryFolder folder_;
  std::filesystem::path model_ = folder_.path() / "model";
  int pictures_ = 0;
};

}  // namespace capdiff::test
