#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace capdiff {

/// One element of a COCO caption result file.
struct CocoResult {
  std::int64_t image_id = 0;
  std::string caption;
};

/// Writes `[{"image_id": 1, "caption": "..."}, ...]`, one picture a line, atomically. Throws `Error(invalid_input)` for
/// a caption that is not UTF-8.
void write_coco_results(const std::filesystem::path& path, std::span<const CocoResult> results);

}  // namespace capdiff
