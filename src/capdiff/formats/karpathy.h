#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "capdiff/formats/json_reader.h"

namespace capdiff {

inline constexpr std::int64_t kMaxImageId = std::numeric_limits<std::int64_t>::max();

/// A picture of a captioning data set.
struct CaptionedImage {
  std::int64_t id = 0;                 ///< Karpathy's `cocoid` where the file has it, else `imgid`; COCO's `id`
  std::filesystem::path path;          ///< relative to the image folder: Karpathy's `filepath`/`filename`
  std::string split;                   ///< "train", "restval", "val" or "test"
  std::vector<std::string> captions;   ///< as written by people: `raw`, or the joined `tokens` where that is absent
  std::filesystem::path archive = {};  ///< the tar file that holds the picture, which is then called `path` in it
  std::uint64_t offset = 0, size = 0;  ///< and where in it, in bytes
};

struct CaptionDataset {
  std::string name;  ///< "coco", "flickr8k", ...; empty where the file does not say
  std::vector<CaptionedImage> images;
  std::filesystem::path folder = {};  ///< that of the pictures, where the data set itself says it
};

/// The path of a picture below the image folder, as `record` has it. Absolute paths and ".." would read files from
/// anywhere: `Error(invalid_input)` that names the record.
std::filesystem::path path_below_images(const std::filesystem::path& path, const JsonReader& record);

/// Reads a data set in the format of Karpathy's splits (dataset_coco.json, dataset_flickr8k.json, ...), pictures in
/// file order. `splits` selects some ({"train", "restval"} is what most papers train on); empty means all.
/// Throws `Error(invalid_input)` that names the file and the picture for missing or mistyped members, an id given
/// twice, and a path that leaves the image folder; and where a requested split holds no picture, with those that do.
CaptionDataset read_karpathy(const std::filesystem::path& path, const std::vector<std::string>& splits = {});

}  // namespace capdiff
