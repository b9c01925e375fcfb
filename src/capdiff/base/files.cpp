#include "capdiff/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

constexpr std::size_t kWriteBuffer = std::size_t{64} << 10;

[[noreturn]] void fail_to(const char* what, const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, "cannot {} {}: {}", what, path.string(), system_message(error));
}

/// A file descriptor that is closed on all ways out.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

/// Opens a file for reading. Without O_NONBLOCK a pipe in the place of a file would wait for its writer for ever.
int open_to_read(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor >= 0) return descriptor;
  if (errno == ENOENT || errno == ENOTDIR) fail(ErrorCode::not_found, "there is no file {}", path.string());
  fail_to("open", path, errno);
}

/// Size in bytes of what must be a regular file.
std::size_t regular_file_size(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_to("read", path, errno);
  if (S_ISDIR(status.st_mode)) fail(ErrorCode::invalid_input, "{} is a folder; expected a file", path.string());
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::invalid_input, "{} is not a regular file", path.string());
  return static_cast<std::size_t>(status.st_size);
}

template <class Buffer>
Buffer read_into(const std::filesystem::path& path, std::size_t max_bytes) {
  const Descriptor file(open_to_read(path));
  const auto fail_too_large = [&] {
    fail(ErrorCode::invalid_input, "{} is too large: at most {} bytes are read", path.string(), max_bytes);
  };
  const std::size_t expected = regular_file_size(file.get(), path);
  if (expected > max_bytes) fail_too_large();

  // The size is a hint only: the file may be growing, and files in /proc claim to be empty. One byte more than expected
  // lets the last read see the end.
  Buffer buffer;
  std::size_t used = 0;
  buffer.resize(expected + 1);
  while (true) {
    if (used == buffer.size()) buffer.resize(2 * buffer.size() + 4096);
    const ssize_t got = ::read(file.get(), buffer.data() + used, buffer.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to("read", path, errno);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > max_bytes) fail_too_large();
  }
  buffer.resize(used);
  return buffer;
}

/// A hidden name in `folder` that no other thread or process of capdiff uses.
std::filesystem::path temporary_name(const std::filesystem::path& folder) {
  static std::atomic<unsigned> counter{0};
  return folder / fmt::format(".capdiff-{}-{}.tmp", ::getpid(), counter++);
}

/// Creates a new file without a name in `folder`; -1 where that is not possible. It vanishes with the process, however
/// that ends.
int create_nameless(const std::filesystem::path& folder) {
  if (::access("/proc/self/fd", X_OK) != 0) return -1;  // the only way to give it a name
  return ::open(folder.empty() ? "." : folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
}

/// Creates a new file with a name nobody else has in `folder`.
std::pair<int, std::filesystem::path> create_temporary(const std::filesystem::path& folder) {
  while (true) {
    std::filesystem::path path = temporary_name(folder);
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return {descriptor, std::move(path)};
  }
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  return read_into<std::vector<std::byte>>(path, max_bytes);
}

std::vector<std::byte> read_file_part(const std::filesystem::path& path, std::uint64_t offset, std::size_t size) {
  const Descriptor file(open_to_read(path));
  const auto fail_too_short = [&] {
    fail(ErrorCode::invalid_input, "{} is too short: {} bytes were expected from byte {} on", path.string(), size,
         offset);
  };
  const std::size_t there = regular_file_size(file.get(), path);
  if (offset > there || size > there - offset) fail_too_short();
  std::vector<std::byte> bytes(size);
  for (std::size_t used = 0; used < size;) {
    const ssize_t got = ::pread(file.get(), bytes.data() + used, size - used, static_cast<off_t>(offset + used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to("read", path, errno);
    if (got == 0) fail_too_short();
    used += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string read_text(const std::filesystem::path& path, std::size_t max_bytes) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  auto text = read_into<std::string>(path, max_bytes);
  if (!is_utf8(text)) fail(ErrorCode::invalid_input, "{} is not UTF-8 text", path.string());
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(open_to_read(path));
  const std::size_t size = regular_file_size(file.get(), path);
  std::span<const std::byte> bytes;
  if (size > 0) {  // mmap refuses to map nothing
    void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) fail_to("map", path, errno);
    bytes = {static_cast<const std::byte*>(address), size};
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, bytes));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::forget_pages() const {
  // Advice only: where it is not taken, memory is freed later.
  if (!bytes_.empty()) ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

AtomicFileWriter::AtomicFileWriter(const std::filesystem::path& path) : path_(path), target_(path) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) fail(ErrorCode::io, "cannot write {}: it is a folder", path_.string());
  if (exists && !S_ISREG(status.st_mode)) {
    device_ = true;
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_to("write", path_, errno);
    return;
  }
  std::error_code ignored;
  if (exists && std::filesystem::is_symlink(path, ignored)) target_ = std::filesystem::canonical(path, ignored);
  descriptor_ = create_nameless(target_.parent_path());
  if (descriptor_ < 0) std::tie(descriptor_, temporary_) = create_temporary(target_.parent_path());
  if (descriptor_ < 0) fail_to("write", path_, errno);
  if (exists)
    static_cast<void>(::fchmod(descriptor_, status.st_mode & 07777));  // best effort: not on every file system
}

AtomicFileWriter::~AtomicFileWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFileWriter::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kWriteBuffer) write_buffer();
  if (bytes.size() > kWriteBuffer) return write_through(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFileWriter::write_through(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) fail(ErrorCode::internal, "{} was written to after it was committed", path_.string());
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to("write", path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFileWriter::write_buffer() {
  write_through(buffer_);
  buffer_.clear();
}

void AtomicFileWriter::name_file() {
  const std::string handle = fmt::format("/proc/self/fd/{}", descriptor_);
  const auto link_to = [&](const std::filesystem::path& name) {
    return ::linkat(AT_FDCWD, handle.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  bool linked = link_to(target_);
  while (!linked && errno == EEXIST) {
    temporary_ = temporary_name(target_.parent_path());
    linked = link_to(temporary_);
  }
  if (linked) return;
  const int error = errno;
  temporary_.clear();  // it is not ours
  fail_to("write", path_, error);
}

void AtomicFileWriter::commit(Flush flush) {
  write_buffer();
  // Without fsync a crash may leave the new name with none of its bytes.
  const bool synchronise = flush == Flush::yes && !device_;
  if (synchronise && ::fsync(descriptor_) != 0) fail_to("write", path_, errno);
  const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  if (!device_ && temporary_.empty()) name_file();
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_to("write", path_, errno);
  if (!temporary_.empty()) {
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_to("write", path_, errno);
    temporary_.clear();
  }
  if (!synchronise) return;
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

AtomicFolder::AtomicFolder(const std::filesystem::path& path) : path_(path) {
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(path, error).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();  // "folder/"
  if (std::filesystem::exists(absolute, error)) absolute = std::filesystem::canonical(absolute, error);
  const std::filesystem::path parent = absolute.parent_path();
  if (std::filesystem::exists(absolute, error) && !std::filesystem::is_directory(absolute, error))
    fail(ErrorCode::io, "cannot write the folder {}: a file of that name is there", path_.string());
  std::filesystem::create_directories(parent, error);
  if (error) fail_to("create", parent, error.value());
  do {
    temporary_ = temporary_name(parent);
  } while (!std::filesystem::create_directory(temporary_, error) && !error);
  if (error) fail_to("create", path_, error.value());
  path_ = absolute;
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  std::error_code error;
  // Takes the place of nothing or of an empty folder.
  std::filesystem::rename(temporary_, path_, error);
  if (!error) return temporary_.clear();
  if (!std::filesystem::is_directory(path_)) fail_to("write", path_, error.value());
  for (const auto& entry : std::filesystem::directory_iterator(temporary_)) {
    std::filesystem::rename(entry.path(), path_ / entry.path().filename(), error);
    if (error) fail_to("write", path_ / entry.path().filename(), error.value());
  }
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFileWriter writer(path);
  writer.write(bytes);
  writer.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text, Flush flush) {
  AtomicFileWriter writer(path);
  writer.write(text);
  writer.commit(flush);
}

}  // namespace capdiff
