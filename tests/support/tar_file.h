#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace capdiff::test {

/// A header of 512 bytes in POSIX's ustar format, with a valid checksum.
std::string tar_header(std::string_view name, std::size_t size, char type = '0', std::string_view prefix = "");

/// A header with a field overwritten and the checksum made to fit again.
std::string with_tar_field(std::string header, std::size_t position, std::string_view value);

/// A header and its data, filled up to whole blocks.
std::string tar_member(std::string_view name, std::string_view data, char type = '0');

/// Members and the end mark.
std::string tar_file(const std::vector<std::pair<std::string, std::string>>& members);

/// What ends a tar file.
std::string tar_end();

}  // namespace capdiff::test
