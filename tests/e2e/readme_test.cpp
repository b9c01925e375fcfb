#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "capdiff/image/decode.h"
#include "tests/image/pictures.h"
#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

/// The lines of a document's code blocks that call the program.
std::vector<std::string> commands_of(const fs::path& document) {
  std::vector<std::string> commands;
  std::istringstream text(read_text_bytes(document));
  bool code = false;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("```")) code = !code;
    if (code && line.starts_with("capdiff ")) commands.push_back(line);
  }
  return commands;
}

/// A folder with everything that the examples speak of.
void write_world(const fs::path& folder) {
  const Bytes jpeg = encode_jpeg(read_image(kScene));
  fs::create_directories(folder / "holiday" / "beach");
  fs::create_directories(folder / "models");
  for (const fs::path& path :
       {folder / "photo.jpg", folder / "holiday" / "one.jpg", folder / "holiday" / "beach" / "two.jpg"})
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(jpeg.data()), static_cast<std::streamsize>(jpeg.size()));
  fs::copy_file(kScene, folder / "photo.png");
  write_tiny_model(folder / "models" / "default");
  std::ofstream(folder / "dataset.json") << nlohmann::json{
      {"dataset", "holiday"},
      {"images",
       {{{"imgid", 1}, {"filename", "one.jpg"}, {"split", "val"}, {"sentences", {{{"raw", "a tree on grass"}}}}}}}};
  std::ofstream(folder / "references.json")
      << R"({"annotations": [{"image_id": 1, "caption": "A tree on grass."}, {"image_id": 2, "caption": "Two dogs."}]})";
  for (const char* system : {"results.json", "other.json"})
    std::ofstream(folder / system) << R"([{"image_id": 2, "caption": "two dogs"}, {"image_id": 1, "caption": ")"
                                   << system << R"("}])";
}

class Documents : public testing::TestWithParam<const char*> {};

TEST_P(Documents, TheirCommandsWork) {
  const std::vector<std::string> commands = commands_of(fs::path(CAPDIFF_SOURCE_DIR) / GetParam());
  ASSERT_GE(commands.size(), 5u);
  const TemporaryFolder folder;
  write_world(folder.path());
  for (const std::string& command : commands) {
    std::ofstream(folder.path() / "command.sh")
        << "cd '" << folder.path().string() << "'\n"
        << "PATH='" << CAPDIFF_BINARY_DIR << "/bin':$PATH\n"
        << "CAPDIFF_MODEL='" << (folder.path() / "models/default").string() << "'\nexport CAPDIFF_MODEL\n"
        << "exec >out 2>err\n"
        << command << "\n";
    EXPECT_EQ(std::system(("sh '" + (folder.path() / "command.sh").string() + "'").c_str()), 0)
        << command << "\n"
        << read_text_bytes(folder.path() / "err");
    // Captions that go to files leave their numbers on standard error.
    EXPECT_NE(read_text_bytes(folder.path() / "out") + read_text_bytes(folder.path() / "err"), "") << command;
  }
}

INSTANTIATE_TEST_SUITE_P(Guides, Documents,
                         testing::Values("README.md", "docs/folders.md", "docs/generating.md", "docs/metrics.md"));

}  // namespace
}  // namespace capdiff::test
