#include "capdiff/formats/image_folder.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/splits.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSidecarBytes = std::size_t{1} << 20;
constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";

/// Paths of the pictures in and below a folder, relative to it.
std::vector<fs::path> relative_pictures(const fs::path& folder) {
  std::vector<fs::path> paths;
  try {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file() && is_picture_name(entry.path()))
        paths.push_back(entry.path().lexically_relative(folder));
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::io, "{}: {}", folder.string(), error.code().message());
  }
  std::ranges::sort(paths);
  return paths;
}

std::string split_of_path(const fs::path& path, double validation_share) {
  if (path.has_parent_path()) {
    const std::string top = path.begin()->string();
    if (const auto split = split_in_name(top); split && (top == *split || top == "validation")) return *split;
  }
  return split_by_hash((path.parent_path() / path.stem()).generic_string(), validation_share);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

bool is_picture_name(const fs::path& path) {
  return is_one_of(lower_extension(path), {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"});
}

bool is_foreign_picture_name(const fs::path& path) {
  return is_one_of(lower_extension(path), {".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jp2", ".jxl", ".tif",
                                           ".tiff", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"});
}

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

std::vector<std::string> caption_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(kWhiteSpace), line.size()));
    line = line.substr(0, line.find_last_not_of(kWhiteSpace) + 1);
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

CaptionDataset read_image_folder(const fs::path& folder, const std::vector<std::string>& splits,
                                 double validation_share) {
  CaptionDataset dataset{folder.filename().string(), {}, folder};
  for (const fs::path& path : relative_pictures(folder)) {
    fs::path sidecar = folder / path;
    sidecar.replace_extension(".txt");
    if (!fs::exists(sidecar)) continue;
    std::vector<std::string> captions = caption_lines(read_text(sidecar, kMaxSidecarBytes));
    if (captions.empty()) continue;
    dataset.images.push_back({static_cast<std::int64_t>(dataset.images.size()) + 1, path,
                              split_of_path(path, validation_share), std::move(captions)});
  }
  if (dataset.images.empty())
    fail(ErrorCode::invalid_input,
         "{}: the folder has no picture (.jpg, .jpeg, .png, .webp) with captions in a .txt of the same name beside it",
         folder.string());
  keep_splits(dataset, splits, folder.string());
  return dataset;
}

}  // namespace capdiff
