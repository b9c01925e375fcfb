#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace capdiff {

/// A regular file inside a tar file. Its bytes stand in the archive as they are.
struct TarEntry {
  std::string name;  ///< any bytes but NUL, as the archive has it; nothing is ever extracted under it
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// The regular files of a tar archive, in order: POSIX ustar and pax (path and size), GNU long names and large sizes,
/// and the old format. Folders, links and devices are passed over. `source` names the archive in errors:
/// `Error(invalid_input)` for a header whose checksum is wrong, a number or a name that is malformed, a file that does
/// not fit, and an archive that ends without the two empty blocks every writer leaves; `Error(unsupported)` for sparse
/// files. With `damage`, an archive that is cut off or broken gives the files before that place, and the error goes
/// there.
std::vector<TarEntry> read_tar_entries(std::span<const std::byte> archive, const std::string& source,
                                       std::string* damage = nullptr);

}  // namespace capdiff
