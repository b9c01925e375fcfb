#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// Reads a whole regular file. Throws `Error` that names the path: `not_found` where nothing is there, `invalid_input`
/// for a folder, a device or more than `max_bytes`, `io` where the system refuses. An empty file is an empty vector.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t max_bytes);

/// Reads `size` bytes of a regular file from `offset` on. Throws as `read_file`, and `invalid_input` where the file
/// does not have them.
std::vector<std::byte> read_file_part(const std::filesystem::path& path, std::uint64_t offset, std::size_t size);

/// Reads a UTF-8 text file, less the byte order mark some editors put first. Throws as `read_file`, and
/// `invalid_input` where the text is not UTF-8.
std::string read_text(const std::filesystem::path& path, std::size_t max_bytes);

/// A regular file mapped read-only. Pages are read from disk when they are first touched, and shared between processes.
/// A file that is truncated while it is mapped kills the process that reads it (SIGBUS); capdiff itself replaces files
/// by renaming, which leaves existing mappings whole.
class MappedFile {
 public:
  /// Throws as `read_file`.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// The whole file; page-aligned.
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }
  /// Lets the system take back the memory of all pages read so far; they are read from disk again when touched.
  void forget_pages() const;

 private:
  MappedFile(std::filesystem::path path, std::span<const std::byte> bytes) : path_(std::move(path)), bytes_(bytes) {}

  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// Whether a new file is flushed to disk before it gets its name. Without, a power cut may leave it empty; that its
/// process is killed never does.
enum class Flush { yes, no };

/// Writes a file that appears whole or not at all: bytes go to a temporary file in the same folder, which has no name
/// where the file system can do that, and a hidden one elsewhere; `commit` flushes it to disk and puts it at `path`. A
/// writer destroyed before `commit` leaves nothing behind, and an existing file as it was. Symbolic links are followed,
/// and an existing file keeps its permissions. Devices and pipes
/// (/dev/stdout) are written to directly. All errors are `Error(io)` that names the path, a full disk among them.
class AtomicFileWriter {
 public:
  explicit AtomicFileWriter(const std::filesystem::path& path);
  ~AtomicFileWriter();
  AtomicFileWriter(const AtomicFileWriter&) = delete;
  AtomicFileWriter& operator=(const AtomicFileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Makes the file appear. Nothing may be written afterwards.
  void commit(Flush flush = Flush::yes);

 private:
  void write_through(std::span<const std::byte> bytes);
  void write_buffer();
  /// Gives a file without a name a hidden one, or at once the one of the target, which then must not exist.
  void name_file();

  std::filesystem::path path_;       // what the caller asked for
  std::filesystem::path target_;     // with symbolic links resolved
  std::filesystem::path temporary_;  // empty while the file has no name, and where the target is a device
  bool device_ = false;
  std::vector<std::byte> buffer_;
  int descriptor_ = -1;
};

/// A folder that appears whole or not at all: files go to a hidden temporary folder beside it, which `commit` gives its
/// name. Where a folder of that name has files already, they are replaced one by one, and others stay. A folder that is
/// destroyed before `commit` leaves nothing behind. Errors are `Error(io)` that names the folder.
class AtomicFolder {
 public:
  explicit AtomicFolder(const std::filesystem::path& path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write a file of the folder.
  std::filesystem::path file(std::string_view name) const { return temporary_ / name; }
  /// Makes the folder appear. Nothing may be written afterwards.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text, Flush flush = Flush::yes);

}  // namespace capdiff
