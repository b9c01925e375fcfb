#include "capdiff/formats/caption_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/formats/caption_results.h"
#include "capdiff/formats/image_folder.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSettingsBytes = std::size_t{1} << 20;

[[noreturn]] void fail_to_write(const fs::path& path) {
  const int error = errno;
  fail(ErrorCode::io, "cannot write {}: {}", path.string(), system_message(error));
}

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

CaptionFile::CaptionFile(fs::path path, Layout layout, Start start)
    : path_(std::move(path)), layout_(std::move(layout)) {
  try {
    open(start);
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
}

void CaptionFile::open(Start start) {
  std::error_code ignored;
  if (fs::is_directory(path_, ignored)) fail(ErrorCode::io, "cannot write {}: it is a folder", path_.string());
  if (fs::is_symlink(path_, ignored) && fs::is_regular_file(path_, ignored)) path_ = fs::canonical(path_, ignored);
  if (fs::exists(path_, ignored) && !fs::is_regular_file(path_, ignored)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_to_write(path_);
  } else {
    part_ = path_;
    part_ += ".part";
    const bool of_file = start == Start::keep_rows && !fs::exists(part_, ignored) && fs::exists(path_, ignored);
    if (of_file) begin_with_rows_of_file();
    open_part();
    if (start == Start::anew && ::ftruncate(descriptor_, 0) != 0) fail_to_write(part_);
    keep_whole_rows(layout_.several_rows && !of_file);
    resumed_ = has_rows_ && !of_file;
    settle_settings(start);
  }
  if (!has_rows_ && !layout_.header.empty()) {
    write(layout_.header);
    has_rows_ = false;
  }
}

CaptionFile::~CaptionFile() {
  if (descriptor_ < 0) return;
  if (!part_.empty() && !has_rows_) remove_part();
  ::close(descriptor_);
}

void CaptionFile::remove_part() const {
  ::unlink(settings_file().c_str());
  ::unlink(part_.c_str());
}

/// FILE stays as it is until the end, so its rows are copied.
void CaptionFile::begin_with_rows_of_file() {
  if (layout_.format == RowFormat::coco) {
    std::string rows;
    for (const CaptionResult& result : read_caption_results(path_)) {
      std::int64_t id = 0;
      const char* const end = result.id.data() + result.id.size();
      if (std::from_chars(result.id.data(), end, id).ptr != end)
        fail(ErrorCode::invalid_input, "{}: {}: the image id is not a number", path_.string(), result.place);
      rows += coco_row(id, result.caption);
    }
    return write_file_atomically(part_, rows);
  }
  const auto file = MappedFile::open(path_);
  const std::string_view text = text_of(*file);
  const WholeRows rows = read_whole_rows(text, layout_.format, layout_.header, false, path_.string());
  write_file_atomically(part_, text.substr(0, rows.bytes));
}

void CaptionFile::open_part() {
  descriptor_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to_write(part_);
  // A run that has just finished may have renamed what was opened.
  struct stat opened {
  }, named{};
  const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (!locked || ::fstat(descriptor_, &opened) != 0 || ::stat(part_.c_str(), &named) != 0 ||
      opened.st_ino != named.st_ino) {
    ::close(std::exchange(descriptor_, -1));
    fail(ErrorCode::io, "cannot write {}: another run is writing it", path_.string());
  }
}

void CaptionFile::keep_whole_rows(bool several_rows) {
  const auto file = MappedFile::open(part_);
  WholeRows rows;
  try {
    rows = read_whole_rows(text_of(*file), layout_.format, layout_.header, several_rows, part_.string());
  } catch (const Error& error) {
    fail(error.code(), "{}; an earlier run has left that file, in another format: remove it", error.what());
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(rows.bytes)) != 0) fail_to_write(part_);
  keys_.insert(std::make_move_iterator(rows.keys.begin()), std::make_move_iterator(rows.keys.end()));
  has_rows_ = !keys_.empty();
  if (!has_rows_ && ::ftruncate(descriptor_, 0) != 0) fail_to_write(part_);
}

/// Compares the settings with those that the rows were made with, and leaves them for the next run.
void CaptionFile::settle_settings(Start start) {
  if (layout_.settings.empty()) return;
  const fs::path file = settings_file();
  std::error_code ignored;
  if (resumed_ && start == Start::go_on && fs::exists(file, ignored)) {
    const std::vector<std::string> then = caption_lines(read_text(file, kMaxSettingsBytes)),
                                   now = caption_lines(layout_.settings);
    const auto [at, other] = std::ranges::mismatch(then, now);
    if (at != then.end() || other != now.end())
      fail(ErrorCode::usage,
           "{}: the run that has left it had other settings ({} then, {} now); give the same, or begin anew with "
           "--existing overwrite, or remove it",
           part_.string(), at == then.end() ? "none" : *at, other == now.end() ? "none" : *other);
  }
  write_file_atomically(file, layout_.settings, Flush::no);
}

void CaptionFile::write(std::string_view rows) {
  if (descriptor_ < 0) fail(ErrorCode::internal, "{} was written to after it was finished", path_.string());
  while (!rows.empty()) {
    const ssize_t written = ::write(descriptor_, rows.data(), rows.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_write(path_);
    rows.remove_prefix(static_cast<std::size_t>(written));
    has_rows_ = true;
  }
}

void CaptionFile::finish() {
  if (part_.empty()) {
    if (::close(std::exchange(descriptor_, -1)) != 0) fail_to_write(path_);
    return;
  }
  if (layout_.format == RowFormat::coco) {
    AtomicFileWriter writer(path_);
    {
      const auto file = MappedFile::open(part_);
      std::string_view rows = text_of(*file);
      const char* separator = "[\n";
      for (std::size_t end; (end = rows.find('\n')) != std::string_view::npos; rows.remove_prefix(end + 1)) {
        writer.write(std::string_view(separator));
        writer.write(rows.substr(0, end));
        separator = ",\n";
      }
      writer.write(*separator == '[' ? "[\n]\n" : "\n]\n");
    }
    writer.commit();
    remove_part();
  } else {
    // Without fsync a crash may leave the new name with none of its bytes.
    if (::fsync(descriptor_) != 0 || ::rename(part_.c_str(), path_.c_str()) != 0) fail_to_write(path_);
    ::unlink(settings_file().c_str());
  }
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace capdiff
