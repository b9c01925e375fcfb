#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "capdiff/formats/karpathy.h"

namespace capdiff {

/// Reads COCO's caption annotations (captions_train2014.json): {"images": [{"id", "file_name"}], "annotations":
/// [{"image_id", "caption"}]}, pictures in the order of "images". Pictures without a caption are left out. Where the
/// name of the file tells a split (train, val, test), all pictures belong to it; otherwise `validation_share` of them
/// to "val" (`split_by_hash` of their file names) and the rest to "train". Throws `Error(invalid_input)` that names the
/// file and the record for missing or mistyped members, an id given twice, an annotation of an unknown picture, and a
/// path that leaves the image folder.
CaptionDataset read_coco_captions(const std::filesystem::path& path, const std::vector<std::string>& splits = {},
                                  double validation_share = 0.0);

/// One element of a COCO caption result file.
struct CocoResult {
  std::int64_t image_id = 0;
  std::string caption;
};

/// Writes `[{"image_id": 1, "caption": "..."}, ...]`, one picture a line, atomically. Throws `Error(invalid_input)` for
/// a caption that is not UTF-8.
void write_coco_results(const std::filesystem::path& path, std::span<const CocoResult> results);

}  // namespace capdiff
