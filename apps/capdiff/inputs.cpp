#include "apps/capdiff/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

bool is_picture_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

template <class Iterator>
std::vector<std::string> pictures_below(const fs::path& folder) {
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : Iterator(folder, fs::directory_options::skip_permission_denied))
    if (entry.is_regular_file() && is_picture_name(entry.path())) found.push_back(entry.path().string());
  std::ranges::sort(found);
  return found;
}

void append_folder(std::vector<Input>& inputs, const std::string& folder, bool recursive) {
  try {
    const std::vector<std::string> found = recursive ? pictures_below<fs::recursive_directory_iterator>(folder)
                                                     : pictures_below<fs::directory_iterator>(folder);
    for (const std::string& name : found) inputs.push_back({name, ""});
    if (found.empty())
      inputs.push_back({folder, fmt::format("{}: the folder has no pictures (.jpg, .jpeg, .png) in it{}", folder,
                                            recursive ? "" : "; --recursive looks into its subfolders")});
  } catch (const fs::filesystem_error& error) {
    inputs.push_back({folder, fmt::format("{}: {}", folder, error.code().message())});
  }
}

}  // namespace

std::vector<Input> expand_inputs(const std::vector<std::string>& arguments, bool recursive) {
  std::vector<Input> inputs;
  for (const std::string& argument : arguments) {
    std::error_code ignored;
    if (argument != "-" && fs::is_directory(argument, ignored))
      append_folder(inputs, argument, recursive);
    else
      inputs.push_back({argument, ""});
  }
  return inputs;
}

}  // namespace capdiff::app
