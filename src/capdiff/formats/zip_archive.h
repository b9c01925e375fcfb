#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace capdiff {

/// The directory of a zip file in memory, as strictly as torch writes it: the directory (zip64 or not) ends where its
/// end record begins, and that record ends the file; names occur once; entries lie one behind the other in front of the
/// directory. Where several fields say the same, they must agree. Entries that are asked for are stored, not
/// compressed; the source texts of TorchScript, which stand beside them, may be. Errors are `Error(invalid_model)`, or
/// `Error(unsupported)` for encrypted entries and for compressed ones that are asked for, and name the file.
class ZipArchive {
 public:
  struct Entry {
    std::span<const std::byte> bytes;  ///< as in the file
    std::uint32_t crc32 = 0;
    bool compressed = false;
  };

  /// Reads the directory. `bytes` must outlive the archive; `name` stands for the file in errors.
  static ZipArchive parse(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  /// The entry, or null where there is none. Throws `Error(unsupported)` for a compressed one.
  const Entry* find(std::string_view entry) const;
  /// The bytes of an entry, once they match their checksum.
  std::span<const std::byte> read(std::string_view entry) const;

 private:
  std::string name_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Whether the file begins as zip files do.
bool looks_like_zip(std::span<const std::byte> bytes);

/// Throws `Error(invalid_model)` that names file and entry unless the bytes have the checksum of their entry.
void require_checksum(const ZipArchive::Entry& entry, std::string_view name, const std::string& file);

}  // namespace capdiff
