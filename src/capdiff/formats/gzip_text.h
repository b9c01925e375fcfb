#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace capdiff {

/// Reads a whole UTF-8 text file, plain or compressed with gzip. Throws as `read_text`, where `max_bytes` limits the
/// text itself, and `Error(invalid_input)` that names the file for truncated or damaged gzip data.
std::string read_gzip_text(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace capdiff
