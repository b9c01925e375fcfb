#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace capdiff {

/// A caption without a picture, and the data set it came from.
struct SourcedCaption {
  std::string source;
  std::string caption;
};

/// Reads lines of `source<TAB>caption`, plain or compressed with gzip, in file order. `sources` selects some; empty
/// means all. Blank lines are skipped. Throws `Error(invalid_input)` that names the file and the line for a line
/// without a tab, with an empty field, longer than 64 KiB or not UTF-8, and for truncated or damaged gzip data.
std::vector<SourcedCaption> read_captions_tsv(const std::filesystem::path& path,
                                              const std::vector<std::string>& sources = {});

}  // namespace capdiff
