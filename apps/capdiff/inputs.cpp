#include "apps/capdiff/inputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/formats/image_folder.h"
#include "capdiff/image/decode.h"

namespace capdiff::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxStandardInput = std::size_t{1} << 30;

Image read_standard_input() {
  std::vector<std::byte> bytes;
  std::vector<std::byte> chunk(std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got < 0) fail(ErrorCode::io, "standard input cannot be read");
    if (got == 0) break;
    bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + got);
    if (bytes.size() > kMaxStandardInput) fail(ErrorCode::unsupported, "standard input is larger than 1 GiB");
  }
  return decode(bytes, "standard input");
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

Image read_input(const Input& input) {
  if (!input.error.empty()) fail(ErrorCode::invalid_input, "{}", input.error);
  return input.name == "-" ? read_standard_input() : read_image(input.name);
}

}  // namespace capdiff::app
