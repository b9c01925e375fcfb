#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The folders of src/capdiff, lowest first: each may include from itself and from those before it.
constexpr std::array<std::string_view, 14> kLayers{"base",      "tensor",     "formats",    "backends", "nn",
                                                   "image",     "text",       "metrics",    "models",   "diffusion",
                                                   "selection", "captioners", "evaluation", "data"};
/// Folders above every layer, which nothing but themselves and the programs may include.
constexpr std::array<std::string_view, 2> kLeaves{"training", "serving"};
constexpr std::size_t kMaxLines = 500;

/// A source file: its path, relative to the root of the project, and its contents.
struct Source {
  std::string path;
  std::string text;
};

/// The folder of a path below src/capdiff, or nothing where the path lies elsewhere.
std::optional<std::string> folder_of(std::string_view path) {
  constexpr std::string_view prefix = "src/capdiff/";
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  return std::string(path.substr(0, path.find('/')));
}

/// The height of a folder: a leaf's is above every layer's. Nothing for a folder that the design does not know.
std::optional<std::size_t> height_of(std::string_view folder) {
  if (std::ranges::find(kLeaves, folder) != kLeaves.end()) return kLayers.size();
  const auto layer = std::ranges::find(kLayers, folder);
  if (layer == kLayers.end()) return std::nullopt;
  return static_cast<std::size_t>(layer - kLayers.begin());
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return text.starts_with(prefix); });
}

/// The names that a file includes, without quotes and angle brackets.
std::vector<std::string> includes_of(const std::string& text) {
  static const std::regex directive(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"])re");
  std::vector<std::string> names;
  for (std::sregex_iterator match(text.begin(), text.end(), directive), end; match != end; ++match) {
    names.push_back((*match)[1]);
  }
  return names;
}

/// What an include breaks, or nothing where it is allowed. Names of the project are written from src: capdiff/….
std::optional<std::string> broken_rule(const std::string& path, const std::string& include) {
  const bool knows_torch =
      starts_with_any(path, {"src/capdiff/backends/torch/", "src/capdiff/training/", "apps/capdiff-train/"});
  if (!knows_torch &&
      starts_with_any(include, {"torch/", "ATen/", "c10/", "capdiff/backends/torch/", "capdiff/training/"})) {
    return "belongs to LibTorch";
  }
  if (!path.starts_with("src/capdiff/backends/onednn/") && starts_with_any(include, {"dnnl", "oneapi/"})) {
    return "belongs to oneDNN";
  }
  if (!path.starts_with("src/capdiff/serving/") && include.starts_with("boost/")) return "belongs to the server";
  const bool knows_beast = path == "src/capdiff/serving/connection.h" || path == "src/capdiff/serving/http_server.cpp";
  if (!knows_beast && include.starts_with("boost/beast")) return "belongs to the connections";
  if (include.find("..") != std::string::npos) return "is not written from src";
  const std::optional<std::string> from = folder_of(path);
  const std::optional<std::string> to = folder_of("src/" + include);
  if (!from || !to || *from == *to) return std::nullopt;
  const std::optional<std::size_t> from_height = height_of(*from);
  const std::optional<std::size_t> to_height = height_of(*to);
  if (!to_height) return "names an unknown folder";
  if (!from_height || *to_height >= *from_height) return "is not below " + *from;
  return std::nullopt;
}

/// Everything about a file that breaks the design, one sentence each.
std::vector<std::string> violations(const Source& source) {
  std::vector<std::string> found;
  if (const auto folder = folder_of(source.path); folder && !height_of(*folder)) {
    found.push_back(source.path + ": " + *folder + " is not a folder of the design");
  }
  for (const std::string& include : includes_of(source.text)) {
    if (const auto rule = broken_rule(source.path, include))
      found.push_back(source.path + ": " + include + " " + *rule);
  }
  const auto lines = static_cast<std::size_t>(std::ranges::count(source.text, '\n'));
  if (lines >= kMaxLines) found.push_back(source.path + ": " + std::to_string(lines) + " lines are too many");
  for (const std::filesystem::path& part : std::filesystem::path(source.path)) {
    if (part.stem().string().starts_with("util")) found.push_back(source.path + ": " + part.string() + " says nothing");
  }
  return found;
}

/// The C++ files of some folders of the project, in order of their paths.
std::vector<Source> project_sources(std::initializer_list<std::string_view> folders) {
  const std::filesystem::path root = CAPDIFF_SOURCE_DIR;
  std::vector<Source> sources;
  for (const std::string_view folder : folders) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cpp")) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::ostringstream text;
      text << file.rdbuf();
      sources.push_back({entry.path().lexically_relative(root).generic_string(), text.str()});
    }
  }
  std::ranges::sort(sources, {}, &Source::path);
  return sources;
}

TEST(Architecture, ProjectKeepsToTheDesign) {
  const std::vector<Source> sources = project_sources({"src", "apps"});
  ASSERT_GT(sources.size(), 10U);
  for (const Source& source : sources) EXPECT_THAT(violations(source), IsEmpty());
}

TEST(Architecture, TestsAreShort) {
  for (const Source& source : project_sources({"tests"})) {
    EXPECT_LT(std::ranges::count(source.text, '\n'), static_cast<std::ptrdiff_t>(kMaxLines)) << source.path;
  }
}

TEST(ArchitectureRules, FindIncludesHoweverTheyAreWritten) {
  EXPECT_THAT(includes_of("#include \"a.h\"\n  # include <b/c>\n// #include \"no.h\"\n#include\t\"d.h\"  // why\n"),
              ElementsAre("a.h", "b/c", "d.h"));
}

TEST(ArchitectureRules, AllowTheSameFolderAndLowerOnes) {
  EXPECT_THAT(
      violations({"src/capdiff/nn/layers.cpp",
                  "#include \"capdiff/nn/layers.h\"\n#include \"capdiff/backends/backend.h\"\n#include <vector>\n"}),
      IsEmpty());
  EXPECT_THAT(violations({"src/capdiff/training/trainer.cpp",
                          "#include <torch/torch.h>\n#include \"capdiff/data/dataset.h\"\n"}),
              IsEmpty());
}

TEST(ArchitectureRules, RefuseHigherFolders) {
  EXPECT_THAT(violations({"src/capdiff/base/error.h", "#pragma once\n#include \"capdiff/tensor/shape.h\"\n"}),
              ElementsAre(HasSubstr("capdiff/tensor/shape.h is not below base")));
  EXPECT_THAT(violations({"src/capdiff/backends/onednn/backend.cpp", "#include \"capdiff/nn/layers.h\"\n"}),
              ElementsAre(HasSubstr("is not below backends")));
}

TEST(ArchitectureRules, RefuseLeavesAndUnknownFolders) {
  EXPECT_THAT(violations({"src/capdiff/data/dataset.cpp", "#include \"capdiff/serving/server.h\"\n"}),
              ElementsAre(HasSubstr("is not below data")));
  EXPECT_THAT(violations({"src/capdiff/serving/server.cpp", "#include \"capdiff/training/trainer.h\"\n"}),
              ElementsAre(HasSubstr("belongs to LibTorch")));
  EXPECT_THAT(violations({"src/capdiff/data/dataset.cpp", "#include \"capdiff/helpers/strings.h\"\n"}),
              ElementsAre(HasSubstr("names an unknown folder")));
  EXPECT_THAT(violations({"src/capdiff/base/error.h", "#include \"../nn/layers.h\"\n"}),
              ElementsAre(HasSubstr("is not written from src")));
  EXPECT_THAT(violations({"src/capdiff/helpers/strings.cpp", ""}),
              ElementsAre(HasSubstr("helpers is not a folder of the design")));
}

TEST(ArchitectureRules, KeepLibrariesInTheirFolders) {
  for (const std::string_view include : {"torch/torch.h", "ATen/ATen.h", "c10/util/Exception.h"}) {
    const std::string text = "#include <" + std::string(include) + ">\n";
    EXPECT_THAT(violations({"src/capdiff/nn/layers.cpp", text}), ElementsAre(HasSubstr("belongs to LibTorch")));
    EXPECT_THAT(violations({"src/capdiff/backends/onednn/backend.cpp", text}), ElementsAre(HasSubstr("LibTorch")));
    EXPECT_THAT(violations({"apps/capdiff/main.cpp", text}), ElementsAre(HasSubstr("LibTorch")));
    EXPECT_THAT(violations({"src/capdiff/backends/torch/backend.cpp", text}), IsEmpty());
  }
  EXPECT_THAT(violations({"apps/capdiff/main.cpp", "#include \"capdiff/training/trainer.h\"\n"}),
              ElementsAre(HasSubstr("LibTorch")));
  for (const std::string_view include : {"dnnl.hpp", "oneapi/dnnl/dnnl.hpp"}) {
    const std::string text = "#include <" + std::string(include) + ">\n";
    EXPECT_THAT(violations({"src/capdiff/backends/torch/backend.cpp", text}), ElementsAre(HasSubstr("oneDNN")));
    EXPECT_THAT(violations({"src/capdiff/backends/onednn/backend.cpp", text}), IsEmpty());
  }
}

TEST(ArchitectureRules, KeepBoostInTheServer) {
  const std::string text = "#include <boost/beast/core.hpp>\n";
  EXPECT_THAT(violations({"apps/capdiff/serve.cpp", text}), ElementsAre(HasSubstr("belongs to the server")));
  EXPECT_THAT(violations({"src/capdiff/serving/http_server.cpp", text}), IsEmpty());
  EXPECT_THAT(violations({"src/capdiff/serving/api.cpp", text}), ElementsAre(HasSubstr("belongs to the connections")));
}

TEST(ArchitectureRules, RefuseLongFilesAndEmptyNames) {
  EXPECT_THAT(violations({"src/capdiff/base/long.cpp", std::string(kMaxLines - 1, '\n')}), IsEmpty());
  EXPECT_THAT(violations({"src/capdiff/base/long.cpp", std::string(kMaxLines, '\n')}),
              ElementsAre(HasSubstr("500 lines are too many")));
  EXPECT_THAT(violations({"src/capdiff/base/utils.h", ""}), ElementsAre(HasSubstr("utils.h says nothing")));
}

}  // namespace
}  // namespace capdiff
