#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace capdiff {

/// Reads a whole UTF-8 text file, plain or compressed with gzip. Throws as `read_text`, where `max_bytes` limits the
/// text itself, and `Error(invalid_input)` that names the file for truncated or damaged gzip data.
std::string read_gzip_text(const std::filesystem::path& path, std::size_t max_bytes);

/// Reads a file line by line, plain or compressed with gzip, however large it is. Bytes are not checked to be UTF-8.
/// Everything thrown is an `Error` that names the file: as `read_file` where it cannot be opened, `invalid_input` for
/// truncated or damaged gzip data, a line longer than 64 KiB, or more than `max_bytes` of text.
class GzipLineReader {
 public:
  GzipLineReader(const std::filesystem::path& path, std::uint64_t max_bytes);
  ~GzipLineReader();
  GzipLineReader(const GzipLineReader&) = delete;
  GzipLineReader& operator=(const GzipLineReader&) = delete;

  /// Puts the next line, without its end (LF or CR LF), into `line`; false where there is none.
  bool next(std::string& line);
  /// Number of the line that `next` gave, from 1; 0 before the first.
  std::uint64_t line_number() const { return line_number_; }

 private:
  bool fill();

  struct File;
  std::unique_ptr<File> file_;
  std::filesystem::path path_;
  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
  std::uint64_t line_number_ = 0;
  std::vector<char> block_;
  std::size_t at_ = 0;   // in block_
  std::size_t end_ = 0;  // of what is in block_
};

}  // namespace capdiff
