#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace capdiff {

/// One element of a COCO caption result file.
struct CocoResult {
  std::int64_t image_id = 0;
  std::string caption;
};

/// Writes `[{"image_id": 1, "caption": "..."}, ...]`, one picture a line, atomically. Throws `Error(invalid_input)` for
/// a caption that is not UTF-8.
void write_coco_results(const std::filesystem::path& path, std::span<const CocoResult> results);

/// Reads a result file. Throws `Error(invalid_input)` that names the file and the element for anything else, and for
/// two captions of one picture, which COCO's evaluation does not allow.
std::vector<CocoResult> read_coco_results(const std::filesystem::path& path);

/// Reads the `annotations` of a COCO caption file (captions_val2014.json): the reference captions by image id, in file
/// order.
std::map<std::int64_t, std::vector<std::string>> read_coco_annotations(const std::filesystem::path& path);

}  // namespace capdiff
