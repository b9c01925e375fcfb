#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/formats/karpathy.h"

namespace capdiff {

/// Whether a file is called as pictures are that can be read: .jpg, .jpeg, .jpe, .jfif, .png, .webp, in any case.
bool is_picture_name(const std::filesystem::path& path);

/// Whether it is called as pictures are that cannot: .gif, .heic, .tif, those of cameras, and others.
bool is_foreign_picture_name(const std::filesystem::path& path);

/// ".jpg" of "a/b.JPG".
std::string lower_extension(const std::filesystem::path& path);

/// The lines of a text that say something, without white space around them: one caption a line.
std::vector<std::string> caption_lines(std::string_view text);

/// Reads a folder of pictures, with all below it, in the order of their paths: beside each picture a text file of the
/// same name (cat.jpg, cat.txt) with one caption a line. Pictures without a caption are left out; ids count from 1. A
/// picture below a folder called train, val or test at the top belongs to that split; `validation_share` of the others
/// to "val" (`split_by_hash` of the path without its extension), the rest to "train". Throws `Error(invalid_input)`
/// that names the file for a text that is not UTF-8 or has more than 1 MiB, and where no picture has a caption.
CaptionDataset read_image_folder(const std::filesystem::path& folder, const std::vector<std::string>& splits = {},
                                 double validation_share = 0.0);

}  // namespace capdiff
