#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "capdiff/formats/karpathy.h"
#include "capdiff/formats/tar_archive.h"

namespace capdiff {

/// Reads tar shards as WebDataset lays them out: the .tar files of a folder in the order of their names, or one such
/// file. In a shard a picture is `key.jpg` (.jpeg, .png, .webp), and its captions stand in `key.json` as "caption", a
/// text or an array of them, or else in `key.txt`, one a line. Pictures without captions are left out; the pictures
/// stay in the shards (`CaptionedImage::archive`), and ids count from 1. A shard whose name tells a split
/// (train-00001.tar) belongs to it; of the others `validation_share` of the pictures is "val" (`split_by_hash` of the
/// key), the rest "train". Throws `Error(invalid_input)` that names the shard, and where there is one the member, for a
/// damaged archive, JSON or text, for two members that say the same of one key, and where no picture has a caption.
CaptionDataset read_webdataset(const std::filesystem::path& path, const std::vector<std::string>& splits = {},
                               double validation_share = 0.0);

/// The .tar files in a folder, by name.
std::vector<std::filesystem::path> tar_shards(const std::filesystem::path& folder);

/// Whether a file is called as tar files are, in any case.
bool is_tar_name(const std::filesystem::path& path);

/// What a tar file has for somebody who wants its pictures.
struct ShardPictures {
  /// With captions or without, in the file's order. Names are less a "./" in front, and may be any bytes.
  std::vector<TarEntry> pictures;
  /// How many are of kinds that cannot be read (".heic"), or belong to the picture of their key: of `key.jpg` and
  /// `key.mask.png` the latter (".mask.png").
  std::map<std::string, std::size_t> passed_over;
  std::string damage;  ///< why the file ends early; may be empty
};

/// Throws what `MappedFile::open` throws.
ShardPictures shard_pictures(const std::filesystem::path& shard);

}  // namespace capdiff
